/**
 * What stands behind a TAP device in a test, as a virtual machine would: it answers ARP and ping for one address.
 *
 *     bun tap-program.ts DEVICE ADDRESS     prints `ready`
 *
 * @module
 */
import { dlopen, FFIType } from "bun:ffi";
import { openSync, readSync, writeSync } from "node:fs";

// linux/if_tun.h, linux/if_ether.h
const TUNSETIFF = 0x400454ca;
const IFF_TAP_NO_PI = 0x1002;
const ETH_P_ARP = 0x0806;
const ETH_P_IP = 0x0800;
const MAC = Buffer.from("020000000077", "hex");

const [device = "", address = ""] = process.argv.slice(2);
const own = Buffer.from(address.split(".").map(Number));
const tap = open(device);
console.log("ready");
for (const frame = Buffer.alloc(2048); ; ) {
  const answer = answerTo(frame.subarray(0, readSync(tap, frame)));
  if (answer !== undefined) writeSync(tap, answer);
}

function open(name: string): number {
  const fd = openSync("/dev/net/tun", "r+");
  const request = Buffer.alloc(40);
  request.write(name);
  request.writeUInt16LE(IFF_TAP_NO_PI, 16);
  const { symbols } = dlopen("libc.so.6", {
    ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
  });
  if (symbols.ioctl(fd, TUNSETIFF, request) < 0) throw new Error(`cannot open tap ${name}`);
  return fd;
}

function answerTo(frame: Buffer): Buffer | undefined {
  const reply = Buffer.from(frame);
  reply.set(frame.subarray(6, 12), 0);
  reply.set(MAC, 6);
  switch (frame.readUInt16BE(12)) {
    case ETH_P_ARP:
      if (frame.readUInt16BE(20) !== 1 || !frame.subarray(38, 42).equals(own)) return undefined;
      reply.writeUInt16BE(2, 20);
      reply.set(frame.subarray(22, 32), 32);
      reply.set([...MAC, ...own], 22);
      return reply;
    case ETH_P_IP: {
      // IPv4 without options, an echo request for us.
      if (frame[23] !== 1 || frame[34] !== 8 || !frame.subarray(30, 34).equals(own)) return undefined;
      reply.set(frame.subarray(26, 30), 30);
      reply.set(own, 26);
      reply[34] = 0;
      const sum = frame.readUInt16BE(36) + 0x0800;
      reply.writeUInt16BE((sum & 0xffff) + (sum >> 16), 36);
      return reply;
    }
    default:
      return undefined;
  }
}
