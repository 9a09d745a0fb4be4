/**
 * Queueing disciplines, of which there are two here: a token bucket that shapes what a link sends, and the hook for
 * what it receives. `tc qdisc`.
 *
 * @module
 */
import { formatTc } from "netlink/dist/rt/gen_structs";
import { getString, type StreamData } from "netlink/dist/structs";
import { attributeMap } from "./bytes.ts";
import {
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_ECHO,
  NLM_F_EXCL,
  RTM_DELQDISC,
  RTM_GETQDISC,
  RTM_NEWQDISC,
  TC_H_INGRESS,
  TC_H_ROOT,
  TC_LINKLAYER_ETHERNET,
  TCA_KIND,
  TCA_OPTIONS,
  TCA_TBF_BURST,
  TCA_TBF_PARMS,
  TCA_TBF_RATE64,
} from "./constants.ts";
import type { RtSocket } from "./socket.ts";
import { lacking, type TcLink, tcBody } from "./tc.ts";

/** A token bucket: packets wait for tokens, which come at `rate`; `burst` of them are kept. */
export interface Tbf {
  /** Bytes a second, 1 or more. */
  readonly rate: number;
  /** Bytes. */
  readonly burst: number;
  /** Bytes that may wait; what comes beyond is dropped. */
  readonly limit: number;
}

/** Where on a link a qdisc stands: for what it sends, or for what it receives. */
export type QdiscPlace = "root" | "ingress";

/** A qdisc as the kernel shows it. */
export interface Qdisc {
  readonly kind: string;
  /** Of a token bucket; `buffer` is its burst as time, see {@link tbfBuffer}. */
  readonly tbf: { readonly rate: number; readonly limit: number; readonly buffer: number } | undefined;
}

/** What a token bucket's rates and bursts are counted in: 64 ns, since 2.6.31 (net/pkt_sched.h, PSCHED_SHIFT). */
const TICKS_PER_US = 15.625;
const U32_MAX = 0xffff_ffff;
const TBF_HANDLE = 0x1_0000;
const INGRESS_HANDLE = 0xffff_0000;

/**
 * `tc qdisc add dev LINK root handle 1: tbf rate R burst B limit L`.
 *
 * @throws TsnetError `exists` if the link's root is not the kernel's own; `kernel-lacks`.
 */
export function tbfAdd(socket: RtSocket, link: TcLink, tbf: Tbf): void {
  add(socket, link, "tbf", tbfBody(link.index, tbf));
}

/** What {@link tbfAdd} sends. */
export function tbfBody(index: number, tbf: Tbf): StreamData {
  return tcBody({ ifindex: index, handle: TBF_HANDLE, parent: TC_H_ROOT }, "tbf", options(tbf));
}

/**
 * `tc qdisc add dev LINK ingress`.
 *
 * @throws TsnetError as {@link tbfAdd}.
 */
export function ingressAdd(socket: RtSocket, link: TcLink): void {
  add(socket, link, "ingress", ingressBody(link.index));
}

/** What {@link ingressAdd} sends. */
export function ingressBody(index: number): StreamData {
  return tcBody({ ifindex: index, handle: INGRESS_HANDLE, parent: TC_H_INGRESS }, "ingress");
}

/** `tc qdisc show dev INDEX root`, or `ingress`: undefined where there is no such link, or nothing of that kind. */
export function qdiscGet(socket: RtSocket, index: number, place: QdiscPlace): Qdisc | undefined {
  const body = formatTc({ ifindex: index, parent: parentOf(place) });
  const what = `show ${place} qdisc of link ${index}`;
  const answer = socket.get({ type: RTM_GETQDISC, flags: NLM_F_ECHO | NLM_F_ACK, body, what }, ...GONE);
  return answer === undefined ? undefined : parseQdisc(answer);
}

/** `tc qdisc del dev INDEX root`, or `ingress`, with all its filters; false if there was none. */
export function qdiscDel(socket: RtSocket, index: number, place: QdiscPlace): boolean {
  const body = formatTc({ ifindex: index, parent: parentOf(place) });
  return socket.change({ type: RTM_DELQDISC, body, what: `delete ${place} qdisc of link ${index}` }, ...GONE);
}

/**
 * How long the rate takes to fill the burst, in ticks of 64 ns: how the kernel keeps a burst, and shows it.
 *
 * Whole microseconds first, as the reference plugin counts, so that each takes the other's buckets for right.
 */
export function tbfBuffer({ rate, burst }: Pick<Tbf, "rate" | "burst">): number {
  return Math.floor(Math.floor((burst * 1e6) / rate) * TICKS_PER_US);
}

/**
 * Whether the kernel's bucket is the wanted one. What it shows of a burst of more than 274 s is only the rest of a
 * division by 2^32 ticks.
 */
export function isTbf(there: Qdisc | undefined, wanted: Tbf): boolean {
  const tbf = there?.tbf;
  if (tbf === undefined || tbf.rate !== wanted.rate || tbf.limit !== wanted.limit) return false;
  const ticks = (wanted.burst / wanted.rate) * 1e6 * TICKS_PER_US;
  const apart = Math.abs(tbf.buffer - (ticks % (U32_MAX + 1)));
  // To a microsecond, or what is lost where the kernel multiplies instead of dividing.
  return Math.min(apart, U32_MAX + 1 - apart) <= TICKS_PER_US + 1 + ticks * 1e-9;
}

function add(socket: RtSocket, link: TcLink, kind: "tbf" | "ingress", body: StreamData): void {
  const what = `add qdisc ${kind} to ${link.name}`;
  const flags = NLM_F_CREATE | NLM_F_EXCL;
  if (!socket.change({ type: RTM_NEWQDISC, flags, body, what }, "ENOENT")) throw lacking(what, `sch_${kind}`);
}

/** `struct tc_tbf_qopt` of linux/pkt_sched.h, and beside it what its 32 bits cannot hold. */
function options(tbf: Tbf): StreamData {
  const buffer = tbfBuffer(tbf);
  const parms = Buffer.alloc(36);
  // struct tc_ratespec rate: u8 cell_log, u8 linklayer, u16 overhead, s16 cell_align, u16 mpu, u32 rate.
  parms.writeUInt8(3, 0);
  parms.writeUInt8(TC_LINKLAYER_ETHERNET, 1);
  parms.writeInt16LE(-1, 4);
  parms.writeUInt32LE(Math.min(tbf.rate, U32_MAX), 8);
  // No peak rate; u32 limit, u32 buffer, u32 mtu.
  parms.writeUInt32LE(tbf.limit, 24);
  parms.writeUInt32LE(Math.min(buffer, U32_MAX), 28);
  return (out) => {
    out.push(TCA_TBF_PARMS, parms);
    // Nor is there a burst of no time at all, as of 1500 bytes at 100 Gbit/s.
    if (buffer === 0 || buffer > U32_MAX) out.push(TCA_TBF_BURST, u32(tbf.burst));
    if (tbf.rate >= U32_MAX) out.push(TCA_TBF_RATE64, u64(tbf.rate));
  };
}

function parseQdisc(payload: Buffer): Qdisc {
  const all = attributeMap(payload.subarray(20));
  const kind = getString(all.get(TCA_KIND) ?? Buffer.alloc(1));
  const options = kind === "tbf" ? attributeMap(all.get(TCA_OPTIONS)) : undefined;
  const parms = options?.get(TCA_TBF_PARMS);
  if (parms === undefined) return { kind, tbf: undefined };
  const rate = Number(options?.get(TCA_TBF_RATE64)?.readBigUInt64LE(0) ?? parms.readUInt32LE(8));
  return { kind, tbf: { rate, limit: parms.readUInt32LE(24), buffer: parms.readUInt32LE(28) } };
}

function parentOf(place: QdiscPlace): number {
  return place === "root" ? TC_H_ROOT : TC_H_INGRESS;
}

// The kernel says ENOENT of a link that only has its default qdisc, and EINVAL of one without the hook.
const GONE = ["ENODEV", "ENOENT", "EINVAL"] as const;

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
