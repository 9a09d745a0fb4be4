/**
 * The calls that no runtime has, by FFI: sockets of netlink, namespaces, locks.
 *
 * Everything here is synchronous and takes or returns plain file descriptors. A failing call throws a
 * {@link TsnetError} that carries the errno name.
 *
 * @module
 */
import { addressOf, check, EAGAIN, EINTR, errno, failure, libc } from "./libc.ts";

/** `AF_NETLINK`, linux/socket.h. */
export const AF_NETLINK = 16;
/** `NETLINK_ROUTE`, linux/netlink.h. */
export const NETLINK_ROUTE = 0;
/** `NETLINK_NETFILTER`, linux/netlink.h. */
export const NETLINK_NETFILTER = 12;
/** `CLONE_NEWNET`, linux/sched.h. */
export const CLONE_NEWNET = 0x40000000;
/** `LOCK_SH`, sys/file.h. */
export const LOCK_SH = 1;
/** `LOCK_EX`, sys/file.h. */
export const LOCK_EX = 2;
/** `LOCK_NB`, sys/file.h. */
export const LOCK_NB = 4;

// linux/socket.h, linux/in.h
const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_RAW = 255;
// asm-generic/socket.h, linux/netlink.h, linux/bpf_common.h
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const BPF_LD_H_ABS = 0x28;
const BPF_JEQ = 0x15;
const BPF_RET = 0x06;
const SOCK_RAW = 3;
const MSG_DONTWAIT = 0x40;
const SOCK_CLOEXEC = 0o2000000;

/** Opens a netlink socket in the namespace that the thread is in. `protocol` is `NETLINK_ROUTE` and the like. */
export function openNetlink(protocol: number): number {
  return check("socket", libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
}

/** Binds a netlink socket to multicast `groups` (a bit mask; 0 for none). */
export function bindNetlink(fd: number, groups: number): void {
  // struct sockaddr_nl: u16 family, u16 pad, u32 pid (0: the kernel chooses), u32 groups. linux/netlink.h
  const address = new Uint32Array([AF_NETLINK, 0, groups]);
  check("bind", libc().bind(fd, address, address.byteLength));
}

/** Sets an integer socket option. */
export function setSocketOption(fd: number, level: number, name: number, value: number): void {
  const option = new Int32Array([value]);
  check("setsockopt", libc().setsockopt(fd, level, name, option, option.byteLength));
}

/** Reads a socket option of any form into `value`, whose content may be part of the question. */
export function getSocketOption(fd: number, level: number, name: number, value: Uint8Array): void {
  const length = new Uint32Array([value.byteLength]);
  check("getsockopt", libc().getsockopt(fd, level, name, value, length));
}

/** Opens a raw socket of IPv4 or IPv6: what iptables-legacy asks the kernel by. */
export function openRawSocket(family: 4 | 6): number {
  return check("socket", libc().socket(family === 4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
}

/** Lets a netlink socket hear a multicast group (`NFNLGRP_NFTABLES` and the like), beyond those of {@link bindNetlink}. */
export function joinGroup(fd: number, group: number): void {
  setSocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
}

/** Lets a socket receive only datagrams whose 16 bits at `offset` (bytes), read in network order, are `value`. */
export function attachFilter(fd: number, { offset, value }: { readonly offset: number; readonly value: number }): void {
  // struct sock_filter of linux/filter.h: u16 code, u8 instructions to skip if true, u8 if false, u32 k.
  const program = new Uint32Array([BPF_LD_H_ABS, offset, BPF_JEQ | (1 << 16), value, BPF_RET, 0, BPF_RET, 0xffffffff]);
  // struct sock_fprog: u16 count of instructions, and where they are.
  const description = new BigUint64Array([BigInt(program.length / 2), BigInt(addressOf(program))]);
  check("setsockopt", libc().setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, description, description.byteLength));
}

/** Sends `data` as one datagram. For netlink the kernel has done the work when this returns. */
export function send(fd: number, data: Uint8Array): void {
  for (;;) {
    const sent = Number(libc().send(fd, data, data.byteLength, 0));
    if (sent >= 0) return;
    if (errno() !== EINTR) throw failure("send");
  }
}

/** Receives one datagram into `buffer` and returns its length in bytes. `flags` as in recv(2). */
export function receive(fd: number, buffer: Uint8Array, flags = 0): number {
  for (;;) {
    const got = Number(libc().recv(fd, buffer, buffer.byteLength, flags));
    if (got >= 0) return got;
    if (errno() !== EINTR) throw failure("recv");
  }
}

/** {@link receive} that does not wait: undefined if nothing is there, which costs no error object. */
export function tryReceive(fd: number, buffer: Uint8Array): number | undefined {
  for (;;) {
    const got = Number(libc().recv(fd, buffer, buffer.byteLength, MSG_DONTWAIT));
    if (got >= 0) return got;
    const number = errno();
    if (number === EAGAIN) return undefined;
    if (number !== EINTR) throw failure("recv");
  }
}

/** Closes a descriptor opened here. A second close is an error, as it may hit somebody else's descriptor. */
export function closeFd(fd: number): void {
  check("close", libc().close(fd));
}

/** Moves the calling thread into the namespace behind `fd`. See netns.ts for who may call this. */
export function setns(fd: number, type: number): void {
  check("setns", libc().setns(fd, type));
}

/** Takes a flock; false if `LOCK_NB` was given and somebody else has it. The lock ends when every copy of `fd` is closed. */
export function flock(fd: number, operation: number): boolean {
  for (;;) {
    if (libc().flock(fd, operation) === 0) return true;
    const number = errno();
    if (number === EAGAIN) return false;
    if (number !== EINTR) throw failure("flock");
  }
}
