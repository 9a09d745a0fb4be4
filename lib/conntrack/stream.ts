/**
 * Goes through the kernel's flows and deletes some of them, in constant memory: a dump is read a datagram at a time,
 * and what is doomed is deleted at once, by its own tuple.
 *
 * The dump's socket and the deletions' are two, as the answers of one would stand among the other's. What the kernel
 * knows to leave out (Linux 5.8 and later) does not even come.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { addressFromBytes } from "../net/address.ts";
import { codeOfErrno, errnoName } from "../sys/libc.ts";
import { bindNetlink, closeFd, NETLINK_NETFILTER, openNetlink, receive, send } from "../sys/native.ts";
import { inside, type Netns } from "../sys/netns.ts";
import { attribute, NLM_F_ACK, talkToNetfilter } from "../sys/nfnetlink.ts";
import type { Flow, FlowFilter, FlowTuple } from "./conntrack.ts";
import {
  CTA_ID,
  CTA_IP_V4_DST,
  CTA_IP_V4_SRC,
  CTA_IP_V6_DST,
  CTA_IP_V6_SRC,
  CTA_PROTO_DST_PORT,
  CTA_PROTO_NUM,
  CTA_PROTO_SRC_PORT,
  CTA_TUPLE_IP,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_PROTO,
  CTA_TUPLE_REPLY,
  CTA_ZONE,
  IPCTNL_MSG_CT_DELETE,
  IPCTNL_MSG_CT_GET,
  IPPROTO,
  NFNL_SUBSYS_CTNETLINK,
  NFPROTO,
} from "./constants.ts";
import { dumpAttributes } from "./flush.ts";
import { matchesFlow } from "./matching.ts";

// linux/netlink.h
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
// struct nlmsghdr and struct nfgenmsg
const HEADER_BYTES = 20;
const RECEIVE_BYTES = 64 * 1024;
const MSG_DONTWAIT = 0x40;
// Other work of the process waits no longer than this for one stretch of the dump.
const STRETCH_MS = 2;

/** Deletes the flows that match and are doomed; returns how many. */
export async function deleteWhileStreaming(
  filter: FlowFilter,
  doomed: (flow: Flow) => boolean,
  netns?: Netns,
): Promise<number> {
  const open = () => openNetlink(NETLINK_NETFILTER);
  const fd = netns === undefined ? open() : inside(netns, open);
  const buffer = Buffer.allocUnsafe(RECEIVE_BYTES);
  let deleted = 0;
  try {
    bindNetlink(fd, 0);
    send(fd, dumpRequest(filter));
    for (let since = performance.now(), done = false; !done; ) {
      const condemned: Buffer[] = [];
      done = readFlows(buffer.subarray(0, receive(fd, buffer, MSG_DONTWAIT)), (entry) => {
        const flow = flowOf(entry, filter.family);
        if (flow !== undefined && matchesFlow(flow, filter) && doomed(flow)) condemned.push(tupleOf(entry));
      });
      deleted += deleteTuples(condemned, filter.family, netns);
      if (!done && performance.now() - since > STRETCH_MS) {
        await new Promise(setImmediate);
        since = performance.now();
      }
    }
    return deleted;
  } finally {
    closeFd(fd);
  }
}

function dumpRequest(filter: FlowFilter): Buffer {
  const request = Buffer.concat([Buffer.alloc(HEADER_BYTES), ...dumpAttributes(filter)]);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  request.writeUInt32LE(1, 8);
  request.writeUInt8(NFPROTO[filter.family], 16);
  return request;
}

/** The attributes of a message, by type. */
type Entry = ReadonlyMap<number, Buffer>;

/** Calls `visit` for each flow of a datagram; true if the dump ends in it. */
function readFlows(datagram: Buffer, visit: (entry: Entry) => void): boolean {
  for (let at = 0; at + 16 <= datagram.length; at += Math.max((datagram.readUInt32LE(at) + 3) & ~3, 16)) {
    const type = datagram.readUInt16LE(at + 4);
    if (type === NLMSG_DONE) return true;
    if (type === NLMSG_ERROR) throw refused(-datagram.readInt32LE(at + 16));
    visit(attributesOf(datagram.subarray(at + HEADER_BYTES, at + datagram.readUInt32LE(at))));
  }
  return false;
}

function attributesOf(bytes: Buffer): Entry {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; at += Math.max((bytes.readUInt16LE(at) + 3) & ~3, 4)) {
    found.set(bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, bytes.subarray(at + 4, at + bytes.readUInt16LE(at)));
  }
  return found;
}

// By protocol number: what is not here is not asked for by name.
const PROTOCOLS = new Map<number | undefined, string>(Object.entries(IPPROTO).map(([name, number]) => [number, name]));

/** The flow, its tuples read only if somebody looks: most flows are somebody else's. */
function flowOf(entry: Entry, family: 4 | 6): Flow | undefined {
  const [orig, reply] = [entry.get(CTA_TUPLE_ORIG), entry.get(CTA_TUPLE_REPLY)];
  if (orig === undefined || reply === undefined) return undefined;
  const number = attributesOf(attributesOf(orig).get(CTA_TUPLE_PROTO) ?? EMPTY).get(CTA_PROTO_NUM)?.[0];
  return {
    family,
    proto: PROTOCOLS.get(number) ?? "unknown",
    get orig() {
      return parseTuple(orig, family);
    },
    get reply() {
      return parseTuple(reply, family);
    },
  };
}

const EMPTY = Buffer.alloc(0);

function parseTuple(bytes: Buffer, family: 4 | 6): FlowTuple {
  const parts = attributesOf(bytes);
  const addresses = attributesOf(parts.get(CTA_TUPLE_IP) ?? EMPTY);
  const protocol = attributesOf(parts.get(CTA_TUPLE_PROTO) ?? EMPTY);
  const [sport, dport] = [protocol.get(CTA_PROTO_SRC_PORT), protocol.get(CTA_PROTO_DST_PORT)];
  return {
    src: addressFromBytes(addresses.get(family === 4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC) ?? EMPTY),
    dst: addressFromBytes(addresses.get(family === 4 ? CTA_IP_V4_DST : CTA_IP_V6_DST) ?? EMPTY),
    ...(sport === undefined ? {} : { sport: sport.readUInt16BE(0) }),
    ...(dport === undefined ? {} : { dport: dport.readUInt16BE(0) }),
  };
}

/** What tells this very flow from one that takes its place meanwhile: tuple, zone and id, copied out of the datagram. */
function tupleOf(entry: Entry): Buffer {
  const parts = [CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID].flatMap((type) => {
    const body = entry.get(type);
    return body === undefined ? [] : [attribute(type === CTA_TUPLE_ORIG ? type | NLA_F_NESTED : type, body)];
  });
  return Buffer.concat(parts);
}

function deleteTuples(tuples: readonly Buffer[], family: 4 | 6, netns: Netns | undefined): number {
  if (tuples.length === 0) return 0;
  const messages = tuples.map((tuple, index) => ({
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
    flags: NLM_F_ACK,
    sequence: index + 1,
    family: NFPROTO[family],
    attributes: [tuple],
  }));
  const answers = talkToNetfilter(messages, netns);
  // ENOENT: it ended by itself meanwhile.
  const failed = answers.find(({ errno }) => errno !== undefined && errno !== "ENOENT");
  if (failed?.errno !== undefined) throw failure(failed.errno);
  return answers.filter(({ errno }) => errno === undefined).length;
}

function refused(number: number): TsnetError {
  return failure(errnoName(number));
}

function failure(errno: string): TsnetError {
  return new TsnetError(`cannot go through the tracked flows: ${errno}`, {
    code: codeOfErrno(errno),
    op: "conntrack stream",
    errno,
  });
}
