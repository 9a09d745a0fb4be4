/**
 * Who computes the checksums of packets that a device sends: the device, or the kernel before it.
 *
 * By the ioctl that `ethtool` has always used, since the program is seldom installed. It looks the device up in the
 * namespace that the thread is in: see {@link inside} of netns.ts for another one.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { TsnetError } from "../errors.ts";
import { addressOf, check, openLibc } from "./libc.ts";
import { closeFd } from "./native.ts";

// linux/sockios.h, linux/ethtool.h, linux/if.h
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GTXCSUM = 0x16;
const ETHTOOL_STXCSUM = 0x17;
const IFNAMSIZ = 16;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;

/** `ethtool -k DEVICE`: whether the device computes checksums of what it sends. */
export function txChecksum(device: string): boolean {
  return ask(device, ETHTOOL_GTXCSUM, 0) !== 0;
}

/**
 * `ethtool -K DEVICE tx on|off`.
 *
 * @throws TsnetError `kernel-lacks` for a device that cannot be told, `not-found` if there is none.
 */
export function setTxChecksum(device: string, on: boolean): void {
  ask(device, ETHTOOL_STXCSUM, on ? 1 : 0);
}

function ask(device: string, command: number, data: number): number {
  if (Buffer.byteLength(device) >= IFNAMSIZ) {
    const text = `${device} is no name of a device: it has more than ${IFNAMSIZ - 1} bytes`;
    throw new TsnetError(text, { code: "invalid", op: "ethtool" });
  }
  const { socket, ioctl } = openLibc({
    socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
    ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
  });
  // struct ethtool_value: u32 cmd, u32 data.
  const value = new Uint32Array([command, data]);
  // struct ifreq: 16 bytes of name, then a union of 24, of which a pointer to the value is the first 8.
  const request = Buffer.alloc(40);
  request.write(device);
  request.writeBigUInt64LE(BigInt(addressOf(value)), IFNAMSIZ);
  const fd = check("socket", socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  try {
    check(`checksum offload of ${device}`, ioctl(fd, SIOCETHTOOL, request));
    return value[1] ?? 0;
  } finally {
    closeFd(fd);
  }
}
