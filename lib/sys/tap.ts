/**
 * TAP devices: links whose other end is a program, such as a virtual machine's, that reads and writes frames.
 *
 * They are made by ioctl, as rtnetlink makes none. /dev/net/tun belongs to the namespace that the thread is in as it
 * opens it.
 *
 * @module
 */
import { FFIType } from "bun:ffi";
import { hasErrno, TsnetError } from "../errors.ts";
import { check, openLibc } from "./libc.ts";
import { inside, type Netns } from "./netns.ts";
import { closeFile, O_RDWR, openFile } from "./posix.ts";

// linux/if_tun.h
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOWNER = 0x400454cc;
const TUNSETGROUP = 0x400454ce;
const IFF_TAP = 0x0002;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_NO_PI = 0x1000;
const IFF_TUN_EXCL = 0x8000;
const IFNAMSIZ = 16;

const DEVICE = "/dev/net/tun";

/** A TAP device to make. */
export interface TapSpec {
  /** At most 15 bytes. */
  readonly name: string;
  /** Several threads of the program may each have a queue. */
  readonly multiQueue: boolean;
  /** Who may open it beside root: a user's number, and a group's; undefined for none. */
  readonly owner: number | undefined;
  readonly group: number | undefined;
}

/**
 * `ip tuntap add mode tap name NAME [multi_queue] [user OWNER] [group GROUP]` in `netns`. It stays until it is deleted
 * as a link.
 *
 * @throws TsnetError `kernel-lacks` without /dev/net/tun, `exists` or `busy` if the name is taken.
 */
export function addTap(netns: Netns, { name, multiQueue, owner, group }: TapSpec): void {
  const { ioctl } = openLibc({ ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.u64], returns: FFIType.i32 } });
  const { ioctl: ioctlWith } = openLibc({
    ioctl: { args: [FFIType.i32, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
  });
  // struct ifreq: 16 bytes of name, then a union of 24, of which the flags are the first 2.
  const request = Buffer.alloc(40);
  request.write(name, 0, IFNAMSIZ - 1);
  request.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL | (multiQueue ? IFF_MULTI_QUEUE : 0), IFNAMSIZ);
  inside(netns, () => {
    const fd = openDevice();
    try {
      check(`make tap ${name}`, ioctlWith(fd, TUNSETIFF, request));
      if (owner !== undefined) check(`set owner of tap ${name}`, ioctl(fd, TUNSETOWNER, owner));
      if (group !== undefined) check(`set group of tap ${name}`, ioctl(fd, TUNSETGROUP, group));
      // Last: until then it goes as the descriptor is closed.
      check(`keep tap ${name}`, ioctl(fd, TUNSETPERSIST, 1));
    } finally {
      closeFile(fd);
    }
  });
}

/** @throws TsnetError `kernel-lacks` if none could be made. */
export function ensureTapDevices(): void {
  closeFile(openDevice());
}

function openDevice(): number {
  try {
    return openFile(DEVICE, O_RDWR);
  } catch (error) {
    if (!hasErrno(error, "ENOENT", "ENODEV", "ENXIO")) throw error;
    throw new TsnetError(`no ${DEVICE}: the kernel has no TAP devices until its module is loaded (modprobe tun)`, {
      code: "kernel-lacks",
      op: "make tap",
      errno: "ENODEV",
      cause: error,
    });
  }
}
