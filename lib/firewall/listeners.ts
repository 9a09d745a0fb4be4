/**
 * Who waits for packets at a port of this host, in our own network namespace.
 *
 * Asked of sock_diag(7), which walks the listening sockets alone: reading /proc/net/tcp walks the table of all
 * connections, milliseconds even where it is empty. A kernel without it is read by /proc.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import { type Address, addressFromBytes } from "../net/address.ts";
import { readIfThere } from "../sys/files.ts";
import { bindNetlink, closeFd, openNetlink, receive, send } from "../sys/native.ts";

export interface Listener {
  readonly address: Address;
  readonly port: number;
  /** On [::] and not bound to IPv6 alone: it gets packets of IPv4, too. */
  readonly bothFamilies: boolean;
}

/** The sockets that wait at one of `ports`; what is connected to somebody waits for nobody else. */
export function listeners(protocol: "tcp" | "udp", ports: ReadonlySet<number>): readonly Listener[] {
  const found: Listener[] = [];
  for (const family of [AF_INET, AF_INET6]) {
    const all = askKernel(protocol, family) ?? readProc(protocol, family);
    found.push(...all.filter(({ port }) => ports.has(port)));
  }
  return found;
}

// linux/socket.h, linux/netlink.h, linux/sock_diag.h, linux/in.h
const AF_INET = 2;
const AF_INET6 = 10;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const IPPROTO = { tcp: 6, udp: 17 } as const;
// TCP_LISTEN, and TCP_CLOSE, which an unconnected UDP socket is in: include/net/tcp_states.h
const STATE = { tcp: 10, udp: 7 } as const;
// linux/inet_diag.h: struct inet_diag_req_v2, struct inet_diag_msg and an attribute
const REQUEST_BYTES = 56;
const MESSAGE_BYTES = 72;
const INET_DIAG_SKV6ONLY = 11;
const HEADER_BYTES = 16;

/** Undefined where the kernel has no sock_diag for the protocol. */
function askKernel(protocol: "tcp" | "udp", family: number): readonly Listener[] | undefined {
  let fd: number;
  try {
    fd = openNetlink(NETLINK_SOCK_DIAG);
  } catch (error) {
    if (isTsnetError(error, "kernel-lacks", "permission")) return undefined;
    throw error;
  }
  try {
    bindNetlink(fd, 0);
    send(fd, request(protocol, family));
    return readDump(fd, family);
  } finally {
    closeFd(fd);
  }
}

function request(protocol: "tcp" | "udp", family: number): Buffer {
  const message = Buffer.alloc(HEADER_BYTES + REQUEST_BYTES);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
  message.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  message.writeUInt8(family, HEADER_BYTES);
  message.writeUInt8(IPPROTO[protocol], HEADER_BYTES + 1);
  message.writeUInt32LE(1 << STATE[protocol], HEADER_BYTES + 4);
  return message;
}

function readDump(fd: number, family: number): readonly Listener[] | undefined {
  const buffer = Buffer.alloc(64 * 1024);
  const found: Listener[] = [];
  for (;;) {
    const length = receive(fd, buffer);
    for (let at = 0; at + HEADER_BYTES <= length; at += align(buffer.readUInt32LE(at))) {
      const type = buffer.readUInt16LE(at + 4);
      if (type === NLMSG_DONE) return found;
      if (type === NLMSG_ERROR) return undefined;
      found.push(parseMessage(buffer.subarray(at + HEADER_BYTES, at + buffer.readUInt32LE(at)), family));
    }
  }
}

/** Addresses and ports are in network order. */
function parseMessage(message: Buffer, family: number): Listener {
  const address = addressFromBytes(message.subarray(8, family === AF_INET ? 12 : 24));
  let onlyIPv6 = false;
  for (let at = MESSAGE_BYTES; at + 4 <= message.length; at += align(message.readUInt16LE(at))) {
    if (message.readUInt16LE(at + 2) === INET_DIAG_SKV6ONLY) onlyIPv6 = message[at + 4] === 1;
  }
  return { address, port: message.readUInt16BE(4), bothFamilies: isAny6(address) && !onlyIPv6 };
}

/** proc_net_tcp.rst; the words of an address are in the byte order of the machine. */
function readProc(protocol: "tcp" | "udp", family: number): readonly Listener[] {
  const table = readIfThere(`/proc/thread-self/net/${protocol}${family === AF_INET ? "" : "6"}`) ?? "";
  const state = STATE[protocol].toString(16).toUpperCase().padStart(2, "0");
  const line = new RegExp(`: ([0-9A-F]+):([0-9A-F]{4}) 0+:0000 ${state} `, "g");
  return [...table.matchAll(line)].map(([, hex = "", port = ""]) => {
    const address = addressFromBytes(Buffer.from(hex, "hex").swap32());
    return { address, port: Number.parseInt(port, 16), bothFamilies: isAny6(address) };
  });
}

function isAny6({ family, value }: Address): boolean {
  return family === 6 && value === 0n;
}

function align(length: number): number {
  return (Math.max(length, 4) + 3) & ~3;
}
