/**
 * Who waits for packets at a port of this host, in our own network namespace.
 *
 * Asked of sock_diag(7), which walks the listening sockets alone: reading /proc/net/tcp walks the table of all
 * connections, milliseconds even where it is empty. A kernel without it is read by /proc.
 *
 * The helper of standalone containers holds their host ports with sockets that bear {@link HELD_MARK}. These are in
 * nobody's way: whose the port is stands in our state.
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

/** The mark (SO_MARK) of sockets that hold a published port. None of its bits is one that packet filters masquerade by. */
export const HELD_MARK = 0x74730053;

/** The sockets that wait at one of `ports`; what is connected to somebody waits for nobody else. */
export function listeners(protocol: "tcp" | "udp", ports: ReadonlySet<number>): readonly Listener[] {
  const found: Listener[] = [];
  for (const family of [AF_INET, AF_INET6]) {
    const all = askKernel(protocol, family)?.filter(({ mark }) => mark !== HELD_MARK) ?? readProc(protocol, family);
    found.push(...all.filter(({ port }) => ports.has(port)));
  }
  return found;
}

/** The inodes of the sockets that hold published ports and that /proc/net shows as waiting. */
export function heldSockets(): ReadonlySet<string> {
  const all = (["tcp", "udp"] as const).flatMap((protocol) =>
    [AF_INET, AF_INET6].flatMap((family) => askKernel(protocol, family) ?? []),
  );
  return new Set(all.filter(({ mark }) => mark === HELD_MARK).map(({ inode }) => String(inode)));
}

interface Socket extends Listener {
  /** SO_MARK; told to whoever has CAP_NET_ADMIN. */
  readonly mark: number | undefined;
  readonly inode: number;
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
const INODE_AT = 68;
const INET_DIAG_SKV6ONLY = 11;
const INET_DIAG_MARK = 15;
const HEADER_BYTES = 16;

/** Undefined where the kernel has no sock_diag for the protocol. */
function askKernel(protocol: "tcp" | "udp", family: number): readonly Socket[] | undefined {
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

function readDump(fd: number, family: number): readonly Socket[] | undefined {
  const buffer = Buffer.alloc(64 * 1024);
  const found: Socket[] = [];
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
function parseMessage(message: Buffer, family: number): Socket {
  const address = addressFromBytes(message.subarray(8, family === AF_INET ? 12 : 24));
  let onlyIPv6 = false;
  let mark: number | undefined;
  for (let at = MESSAGE_BYTES; at + 4 <= message.length; at += align(message.readUInt16LE(at))) {
    if (message.readUInt16LE(at + 2) === INET_DIAG_SKV6ONLY) onlyIPv6 = message[at + 4] === 1;
    if (message.readUInt16LE(at + 2) === INET_DIAG_MARK) mark = message.readUInt32LE(at + 4);
  }
  return {
    address,
    port: message.readUInt16BE(4),
    bothFamilies: isAny6(address) && !onlyIPv6,
    mark,
    inode: message.readUInt32LE(INODE_AT),
  };
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
