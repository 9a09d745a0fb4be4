/**
 * TCP and UDP packets whose checksum no card touches: sent by a raw socket, and their answers counted.
 *
 * @module
 */
import { randomInt } from "node:crypto";
import { type Address, addressBytes, addressFromBytes } from "../../lib/net/address.ts";
import type { Netns } from "../../lib/sys/netns.ts";
import { HeldPort, RawSocket } from "../../lib/sys/rawsocket.ts";
import { type Ends, emptyUdp, IPPROTO_TCP, IPPROTO_UDP, TCP_ACK, TCP_RST, TCP_SYN, tcpSegment } from "./packets.ts";

/** What is sent: the first segment of a connection, one from amidst a connection that is not there, or UDP. */
export type SoftwareKind = "syn" | "ack" | "udp";

/** Packets to one port of one address. */
export class SoftwareProbe {
  readonly #kind: SoftwareKind;
  readonly #held: HeldPort;
  readonly #socket: RawSocket;
  readonly #ends: Ends;
  readonly #packet: Buffer;
  #answers = 0;
  #refused = false;

  constructor(kind: SoftwareKind, destination: Address, port: number, netns: Netns | undefined) {
    this.#kind = kind;
    const where = { family: destination.family, ...(netns === undefined ? {} : { netns }) };
    this.#held = new HeldPort(where);
    try {
      this.#socket = new RawSocket({
        ...where,
        protocol: kind === "udp" ? IPPROTO_UDP : IPPROTO_TCP,
        peer: addressBytes(destination),
        port: this.#held.port,
      });
    } catch (error) {
      this.#held.close();
      throw error;
    }
    const source = addressFromBytes(this.#socket.local);
    this.#ends = { source, sourcePort: this.#held.port, destination, port };
    // One segment, again and again, as TCP itself repeats it: nobody on the way takes the next for an attack.
    const flags = kind === "syn" ? TCP_SYN : TCP_ACK;
    this.#packet =
      kind === "udp" ? emptyUdp(this.#ends) : tcpSegment(this.#ends, { flags, sequence: randomInt(2 ** 32) });
  }

  /** How many packets were answered, as far as was read: TCP by TCP, UDP by UDP or word that nobody has the port. */
  get answers(): number {
    this.read();
    return this.#answers;
  }

  /** Whether TCP was answered by ICMP: by a firewall, which says so only now and then (icmp_ratelimit). */
  get refused(): boolean {
    this.read();
    return this.#refused;
  }

  send(): void {
    this.#socket.send(this.#packet);
  }

  /** Several words that nobody is there count as one until they are read. */
  read(): void {
    for (let packet = this.#socket.receive(); packet !== undefined; packet = this.#socket.receive()) {
      if (typeof packet !== "string") {
        if (this.#isAnswer(packet.data)) this.#answers++;
      } else if (this.#kind !== "udp") this.#refused = true;
      else if (packet === "ECONNREFUSED") this.#answers++;
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
    this.#held.close();
  }

  /** Others talk to that host, too. */
  #isAnswer(data: Buffer): boolean {
    const { port, sourcePort } = this.#ends;
    if (data.length < 8 || data.readUInt16BE(0) !== port || data.readUInt16BE(2) !== sourcePort) return false;
    return this.#kind === "udp" || ((data[13] ?? 0) & (TCP_SYN | TCP_RST)) !== 0;
  }
}
