/**
 * Deletes flows by one message to the kernel, which goes through its table by itself.
 *
 * `conntrack -D` reads the whole table over netlink first, locking each of its buckets, of which a host has a
 * quarter of a million whether they hold anything or not: 10 ms of CPU for what takes the kernel 0.2 ms.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { type Address, addressBytes } from "../net/address.ts";
import { codeOfErrno } from "../sys/libc.ts";
import type { Netns } from "../sys/netns.ts";
import { attribute, bytes16, NLM_F_ACK, nested, talkToNetfilter } from "../sys/nfnetlink.ts";
import type { FlowFilter } from "./conntrack.ts";
import {
  CTA_IP_V4_DST,
  CTA_IP_V4_SRC,
  CTA_IP_V6_DST,
  CTA_IP_V6_SRC,
  CTA_PROTO_DST_PORT,
  CTA_PROTO_NUM,
  CTA_TUPLE_IP,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_PROTO,
  CTA_TUPLE_REPLY,
  IPCTNL_MSG_CT_DELETE,
  IPPROTO,
  NFNL_SUBSYS_CTNETLINK,
  NFPROTO,
} from "./constants.ts";

// linux/netfilter/nfnetlink_conntrack.h
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
// What of a tuple counts, a bit each: CTA_FILTER_F_* in net/netfilter/nf_internals.h of the kernel's own headers.
const COUNTS_SRC = 1 << 0;
const COUNTS_DST = 1 << 1;
const COUNTS_PROTO = 1 << 3;
const COUNTS_DST_PORT = 1 << 5;

/**
 * Deletes the flows that match. False if the kernel cannot look for them so, in which case nothing was deleted:
 * before Linux 6.11 it takes the filter for a whole tuple and finds it incomplete. Of IPv6 addresses it takes those
 * that differ for those that match (ctnetlink_filter_match_tuple of Linux 6.18), and would delete everybody else's.
 *
 * @throws TsnetError `permission` and the like.
 */
export function flushFlows(filter: FlowFilter, netns?: Netns): boolean {
  const attributes = namesIpv6(filter) ? undefined : filterAttributes(filter);
  // With nothing to match, a kernel that does not know the filter would delete everything.
  if (attributes === undefined) return false;
  const type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE;
  const message = { type, flags: NLM_F_ACK, sequence: 1, family: NFPROTO[filter.family], attributes };
  const [answer] = talkToNetfilter([message], netns);
  const errno = answer === undefined ? "EOPNOTSUPP" : answer.errno;
  if (errno === undefined) return true;
  if (["EINVAL", "ENOENT", "EOPNOTSUPP"].includes(errno)) return false;
  throw new TsnetError(`cannot delete flows: ${errno}`, { code: codeOfErrno(errno), op: "conntrack flush", errno });
}

/** The filter as far as a kernel can be asked to dump by it: it may pass more, and the rest is for the reader. */
export function dumpAttributes(filter: FlowFilter): readonly Buffer[] {
  const { family, proto, dport } = filter;
  const known = { family, ...(proto === undefined ? {} : { proto }), ...(dport === undefined ? {} : { dport }) };
  return filterAttributes(namesIpv6(filter) ? known : filter) ?? [];
}

function namesIpv6({ family, origSrc, origDst, replySrc, replyDst }: FlowFilter): boolean {
  return family === 6 && [origSrc, origDst, replySrc, replyDst].some((address) => address !== undefined);
}

/** The kernel's filter; undefined if there is nothing but a family to match. */
function filterAttributes(filter: FlowFilter): readonly Buffer[] | undefined {
  const { proto, dport, origSrc, origDst, replySrc, replyDst } = filter;
  const protocol: Part[] =
    proto === undefined ? [] : [{ bit: COUNTS_PROTO, attribute: attribute(CTA_PROTO_NUM, Buffer.of(IPPROTO[proto])) }];
  if (dport !== undefined) {
    protocol.push({ bit: COUNTS_DST_PORT, attribute: attribute(CTA_PROTO_DST_PORT, bytes16(dport)) });
  }
  const orig = tuple(CTA_TUPLE_ORIG, addressParts(origSrc, origDst), protocol);
  const reply = tuple(CTA_TUPLE_REPLY, addressParts(replySrc, replyDst), []);
  const tuples = [orig, reply].filter((one) => one.flags !== 0);
  if (tuples.length === 0) return undefined;
  const flags = [
    attribute(CTA_FILTER_ORIG_FLAGS, hostOrder(orig.flags)),
    attribute(CTA_FILTER_REPLY_FLAGS, hostOrder(reply.flags)),
  ];
  return [...tuples.map((one) => one.attribute), nested(CTA_FILTER, flags)];
}

interface Part {
  readonly bit: number;
  readonly attribute: Buffer;
}

function addressParts(src: Address | undefined, dst: Address | undefined): readonly Part[] {
  const parts: Part[] = [];
  if (src !== undefined) {
    const type = src.family === 4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC;
    parts.push({ bit: COUNTS_SRC, attribute: attribute(type, addressBytes(src)) });
  }
  if (dst !== undefined) {
    const type = dst.family === 4 ? CTA_IP_V4_DST : CTA_IP_V6_DST;
    parts.push({ bit: COUNTS_DST, attribute: attribute(type, addressBytes(dst)) });
  }
  return parts;
}

function tuple(type: number, addresses: readonly Part[], protocol: readonly Part[]) {
  const inner = [
    ...(addresses.length === 0
      ? []
      : [
          nested(
            CTA_TUPLE_IP,
            addresses.map((part) => part.attribute),
          ),
        ]),
    ...(protocol.length === 0
      ? []
      : [
          nested(
            CTA_TUPLE_PROTO,
            protocol.map((part) => part.attribute),
          ),
        ]),
  ];
  const flags = [...addresses, ...protocol].reduce((bits, part) => bits | part.bit, 0);
  return { flags, attribute: nested(type, inner) };
}

function hostOrder(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
