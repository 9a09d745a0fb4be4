/**
 * Which addresses answer, and how soon.
 *
 * One raw socket a family for any number of addresses. The kernel stamps the answers as they come in, so that what else
 * the process does meanwhile is not counted.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Address, addressBytes, type Family, formatAddress } from "../../lib/net/address.ts";
import type { Netns } from "../../lib/sys/netns.ts";
import { RawSocket, realtime } from "../../lib/sys/rawsocket.ts";
import { echoReply, echoRequest, IPPROTO_ICMP, IPPROTO_ICMPV6 } from "./packets.ts";

export interface PingOptions {
  /** Ms to wait for answers. Who did not answer in half of them is asked once more. */
  readonly timeoutMs: number;
  /** Ask from there. */
  readonly source?: Address;
  /** Where, unless in the namespace that the process is in. */
  readonly netns?: Netns;
}

// So many requests before answers are read: these fit the queue.
const AT_ONCE = 64;
const LOOK_EVERY_MS = 2;
const TRIES = 2;

/**
 * Asks all addresses at once. Ms of the round trip by the address's text; undefined for those that did not answer.
 *
 * @throws TsnetError `permission` without CAP_NET_RAW.
 */
export async function pingAll(
  addresses: readonly Address[],
  options: PingOptions,
): Promise<ReadonlyMap<string, number | undefined>> {
  const found = new Map<string, number | undefined>(addresses.map((address) => [formatAddress(address), undefined]));
  // Opened before anything is awaited, so that a caller may be in another namespace for that moment.
  const rounds = ([4, 6] as const).flatMap((family) => {
    const some = addresses.filter((address) => address.family === family);
    return some.length === 0 ? [] : [new Round(family, some, options)];
  });
  try {
    for (let turn = 0; turn < TRIES && rounds.some((round) => round.waiting); turn++) {
      for (const round of rounds) await round.ask(turn);
      const end = performance.now() + options.timeoutMs / TRIES;
      while (performance.now() < end && rounds.some((round) => round.waiting)) {
        await sleep(LOOK_EVERY_MS);
        for (const round of rounds) round.read();
      }
    }
  } finally {
    for (const round of rounds) round.close();
  }
  for (const round of rounds) for (const [address, ms] of round.answers) found.set(address, ms);
  return found;
}

/** One family's requests and answers. */
class Round {
  readonly answers = new Map<string, number>();
  readonly #family: Family;
  readonly #addresses: readonly { readonly text: string; readonly bytes: Uint8Array }[];
  readonly #socket: RawSocket;
  /** Tells our requests from everybody else's. */
  readonly #id = randomBytes(2).readUInt16BE();
  readonly #token = randomBytes(4);
  /** Ms, by try and address. */
  readonly #sent: Float64Array;

  constructor(family: Family, addresses: readonly Address[], { source, netns }: PingOptions) {
    this.#family = family;
    const texts = new Map(addresses.map((address) => [formatAddress(address), addressBytes(address)]));
    this.#addresses = [...texts].map(([text, bytes]) => ({ text, bytes }));
    this.#sent = new Float64Array(TRIES * this.#addresses.length);
    this.#socket = new RawSocket({
      family,
      protocol: family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6,
      ...(source?.family === family ? { source: addressBytes(source) } : {}),
      ...(netns === undefined ? {} : { netns }),
    });
    hearRepliesOnly(this.#socket, family);
  }

  get waiting(): boolean {
    return this.answers.size < this.#addresses.length;
  }

  /** Asks those that have not answered. */
  async ask(turn: number): Promise<void> {
    let asked = 0;
    for (const [i, { text, bytes }] of this.#addresses.entries()) {
      if (this.answers.has(text)) continue;
      const number = turn * this.#addresses.length + i;
      const data = Buffer.alloc(8);
      data.set(this.#token);
      data.writeUInt32BE(number, 4);
      this.#sent[number] = realtime();
      // Refused by a route or a rule is as good as not answered.
      this.#socket.send(echoRequest(this.#family, { id: this.#id, sequence: number & 0xffff, data }), bytes);
      if (++asked % AT_ONCE !== 0) continue;
      await sleep(LOOK_EVERY_MS);
      this.read();
    }
  }

  /** Takes the answers that came. */
  read(): void {
    for (;;) {
      const packet = this.#socket.receive();
      if (packet === undefined) return;
      if (typeof packet === "string") continue;
      const data = echoReply(this.#family, packet.data, this.#id);
      if (data === undefined || data.length !== 8 || !data.subarray(0, 4).equals(this.#token)) continue;
      const number = data.readUInt32BE(4);
      const asked = this.#addresses[number % this.#addresses.length];
      const sent = this.#sent[number];
      if (asked === undefined || sent === undefined || !Buffer.from(asked.bytes).equals(packet.from)) continue;
      // The clock may have been set back meanwhile.
      this.answers.set(asked.text, Math.max(packet.at - sent, 0));
    }
  }

  close(): void {
    this.#socket.close();
  }
}

/** Of all ICMP that the host gets. linux/icmp.h, linux/icmpv6.h: a bit set is a type that is not heard. */
function hearRepliesOnly(socket: RawSocket, family: Family): void {
  const [level, name] = family === 4 ? [255, 1] : [58, 1];
  const filter = Buffer.alloc(family === 4 ? 4 : 32, 0xff);
  const type = family === 4 ? 0 : 129;
  const at = (type >> 5) * 4;
  filter.writeUInt32LE(~(1 << (type & 31)) >>> 0, at);
  socket.setOption(level, name, filter);
}
