/**
 * The client of all three name servers: one UDP socket inside a namespace that asks, waits, and asks again, with calls
 * that block, as the C library's resolver does. An event loop of our own would cost more than some of the servers.
 *
 * @module
 */

import { FFIType } from "bun:ffi";
import { check, libc, openLibc } from "../../lib/sys/libc.ts";
import { closeFd, receive, send } from "../../lib/sys/native.ts";
import { inside, type Netns } from "../../lib/sys/netns.ts";

// linux/socket.h, asm-generic/socket.h, linux/net.h
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const PATIENCE_SECONDS = 2n;

/** RFC 1035 section 4.1: a header with one question wished recursively, and of an answer the code in the header. */
const HEADER = [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
const TYPE_A_CLASS_IN = [0, 1, 0, 1];
const RCODE = 0x0f;

/** Where a name server is. */
export interface Server {
  readonly netns: Netns;
  readonly address: string;
  readonly port: number;
}

export class Asker implements Disposable {
  readonly #fd: number;
  readonly #answer = Buffer.alloc(512);
  #id = 0;

  constructor({ netns, address, port }: Server) {
    this.#fd = inside(netns, () => check("socket", libc().socket(AF_INET, SOCK_DGRAM, 0)));
    const timeout = new BigInt64Array([PATIENCE_SECONDS, 0n]);
    check("setsockopt", libc().setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.byteLength));
    // struct sockaddr_in: u16 family in the host's order, u16 port and u32 address in the network's.
    const to = Buffer.from([
      AF_INET,
      0,
      port >> 8,
      port & 255,
      ...address.split(".").map(Number),
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
    ]);
    const { connect } = openLibc({ connect: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 } });
    check("connect", connect(this.#fd, to, to.byteLength));
  }

  /** Asks once for the address of what `question` asks for; returns how long it took in µs. @throws Error if the answer is another. */
  ask(question: Buffer, address: string): number {
    this.#id = (this.#id + 1) & 0xffff;
    question.writeUInt16BE(this.#id, 0);
    const start = Bun.nanoseconds();
    send(this.#fd, question);
    const length = receive(this.#fd, this.#answer);
    const us = (Bun.nanoseconds() - start) / 1000;
    const answer = this.#answer.subarray(0, length);
    const isRight =
      answer.readUInt16BE(0) === this.#id && ((answer[3] ?? 0) & RCODE) === 0 && answer.includes(addressBytes(address));
    if (!isRight) throw new Error(`wanted ${address} and was answered ${answer.toString("hex")}`);
    return us;
  }

  [Symbol.dispose](): void {
    closeFd(this.#fd);
  }
}

/** A question for the IPv4 address of a name. Its number is put in when it is asked. */
export function questionFor(name: string): Buffer {
  const labels = name.split(".").flatMap((label) => [label.length, ...Buffer.from(label)]);
  return Buffer.from([...HEADER, ...labels, 0, ...TYPE_A_CLASS_IN]);
}

function addressBytes(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}
