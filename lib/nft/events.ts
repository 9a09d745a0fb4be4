/**
 * Who changes the host's nftables, iptables-nft's too: the kernel tells of each transaction who made it. A filter in
 * the kernel passes nothing else, since the changes themselves are tens of thousands of messages that nobody reads.
 *
 * @module
 */
import { hasErrno } from "../errors.ts";
import {
  attachFilter,
  bindNetlink,
  closeFd,
  joinGroup,
  NETLINK_NETFILTER,
  openNetlink,
  receive,
  send,
} from "../sys/native.ts";
import { inside, type Netns } from "../sys/netns.ts";
import { NF_HEADER_BYTES, NfWriter } from "../sys/nfwriter.ts";
import {
  NFNL_SUBSYS_NFTABLES,
  NFNLGRP_NFTABLES,
  NFT_MSG_GETGEN,
  NFT_MSG_NEWGEN,
  NFTA_GEN_PROC_NAME,
  NFTA_GEN_PROC_PID,
} from "./constants.ts";

/** One transaction of somebody. */
export interface NftEvent {
  /** Of the thread that made it, as the machine numbers them, which a container does otherwise; 0: it is not known. */
  readonly pid: number;
  /** The thread's name, of at most 15 characters: `nft`, `iptables-nft-re`. `unknown` stands for any number that were missed. */
  readonly program: string;
}

export interface NftEvents {
  /** What our own transactions are told of as. */
  readonly own: NftEvent;
  /** What happened since the last call, our own transactions among it. Does not wait. */
  poll(): readonly NftEvent[];
  close(): void;
}

const MSG_DONTWAIT = 0x40;
const NLA_TYPE_MASK = 0x3fff;

/**
 * Begins to listen, in `netns` or in the namespace that the process is in.
 *
 * @throws TsnetError `permission` without CAP_NET_ADMIN.
 */
export function nftEvents(netns?: Netns): NftEvents {
  const open = () => openNetlink(NETLINK_NETFILTER);
  const fd = netns === undefined ? open() : inside(netns, open);
  // The filter comes first: nothing else shall be in the queue.
  attachFilter(fd, { offset: 4, value: swap16((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN) });
  // A socket without an address of its own is left out: the kernel takes it for the one that made the change.
  bindNetlink(fd, 0);
  const buffer = Buffer.allocUnsafeSlow(4096);
  send(fd, whoAmI());
  const own = parseEvent(buffer.subarray(0, receive(fd, buffer, MSG_DONTWAIT)));
  joinGroup(fd, NFNLGRP_NFTABLES);
  return {
    own,
    poll() {
      const events: NftEvent[] = [];
      for (;;) {
        try {
          events.push(parseEvent(buffer.subarray(0, receive(fd, buffer, MSG_DONTWAIT))));
        } catch (error) {
          if (hasErrno(error, "EAGAIN")) return events;
          // The queue was full: something came that is lost.
          if (!hasErrno(error, "ENOBUFS")) throw error;
          events.push({ pid: 0, program: "unknown" });
        }
      }
    },
    close: () => closeFd(fd),
  };
}

/** The kernel answers who asks for the generation as it tells who made one. */
function whoAmI(): Uint8Array {
  const writer = new NfWriter(64);
  writer.begin({ type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN, flags: 0, sequence: 1, family: 0 });
  writer.end();
  return writer.written();
}

/** A filter loads numbers in network order, and netlink has them in the processor's. */
function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8);
}

function parseEvent(message: Buffer): NftEvent {
  let pid = 0;
  let program = "unknown";
  for (let at = NF_HEADER_BYTES; at + 4 <= message.length; ) {
    const length = message.readUInt16LE(at);
    const type = message.readUInt16LE(at + 2) & NLA_TYPE_MASK;
    if (type === NFTA_GEN_PROC_PID) pid = message.readUInt32BE(at + 4);
    if (type === NFTA_GEN_PROC_NAME) program = message.toString("utf8", at + 4, at + length - 1);
    at += Math.max((length + 3) & ~3, 4);
  }
  return { pid, program };
}
