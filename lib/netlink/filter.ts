/**
 * Filters at the hook for what a link receives, of which there is one here: everything goes to another link.
 * `tc filter`.
 *
 * @module
 */
import { formatTc } from "netlink/dist/rt/gen_structs";
import { getString, putU32, type StreamData } from "netlink/dist/structs";
import { attributeMap } from "./bytes.ts";
import {
  ETH_P_ALL,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM_GETTFILTER,
  RTM_NEWTFILTER,
  TC_ACT_STOLEN,
  TC_U32_TERMINAL,
  TCA_ACT_KIND,
  TCA_ACT_OPTIONS,
  TCA_EGRESS_REDIR,
  TCA_KIND,
  TCA_MATCHALL_ACT,
  TCA_MIRRED_PARMS,
  TCA_OPTIONS,
  TCA_U32_ACT,
  TCA_U32_CLASSID,
  TCA_U32_SEL,
} from "./constants.ts";
import type { RtSocket } from "./socket.ts";
import { lacking, type TcLink, tcBody } from "./tc.ts";

type Classifier = "u32" | "matchall";

/** `ffff:`, the handle of the ingress qdisc. */
const INGRESS = 0xffff_0000;
/** Priority 1, and the protocol in network order. */
const INFO = (1 << 16) | ((ETH_P_ALL & 0xff) << 8) | (ETH_P_ALL >> 8);

/**
 * `tc filter add dev LINK parent ffff: protocol all prio 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect
 * dev TO`, or with `matchall` where the kernel has no u32. The link needs its ingress qdisc.
 *
 * @throws TsnetError `kernel-lacks` where it has neither.
 */
export function redirectAdd(socket: RtSocket, link: TcLink, to: number): void {
  if (add(socket, link, to, "u32") || add(socket, link, to, "matchall")) return;
  throw lacking(`redirect what ${link.name} receives`, "cls_u32, no cls_matchall or no act_mirred");
}

/** What {@link redirectAdd} sends. */
export function redirectBody(index: number, to: number, classifier: Classifier): StreamData {
  const options = classifier === "u32" ? u32(to) : matchall(to);
  return tcBody({ ifindex: index, parent: INGRESS, info: INFO }, classifier, options);
}

/** `tc filter show dev INDEX parent ffff:`: the links to which filters redirect all that comes in; 0 for one that is gone. */
export function redirectList(socket: RtSocket, index: number): readonly number[] {
  return list(socket, index).flatMap((payload) => targetOf(payload) ?? []);
}

/** Whether there is any filter at the hook, whatever it does. */
export function isFiltered(socket: RtSocket, index: number): boolean {
  return list(socket, index).length > 0;
}

function list(socket: RtSocket, index: number): readonly Buffer[] {
  const body = formatTc({ ifindex: index, parent: INGRESS });
  const answers = socket.dump({ type: RTM_GETTFILTER, body, what: `list filters of link ${index}` });
  return answers.filter((payload) => payload.readInt32LE(4) === index);
}

/** False if the kernel has no such classifier. */
function add(socket: RtSocket, link: TcLink, to: number, classifier: Classifier): boolean {
  const body = redirectBody(link.index, to, classifier);
  const what = `add filter ${classifier} to ${link.name}`;
  return socket.change({ type: RTM_NEWTFILTER, flags: NLM_F_CREATE | NLM_F_EXCL, body, what }, "ENOENT");
}

function u32(to: number): StreamData {
  return (out) => {
    // flowid 1:1
    out.push(TCA_U32_CLASSID, putU32(0x1_0001));
    out.push(TCA_U32_ACT, mirred(to));
    out.push(TCA_U32_SEL, matchAll());
  };
}

function matchall(to: number): StreamData {
  return (out) => out.push(TCA_MATCHALL_ACT, mirred(to));
}

/** The list of actions, whose first and only one redirects. */
function mirred(to: number): StreamData {
  // struct tc_mirred: u32 index, capab; s32 action, refcnt, bindcnt; u32 what to do, ifindex.
  const parms = Buffer.alloc(28);
  parms.writeInt32LE(TC_ACT_STOLEN, 8);
  parms.writeInt32LE(TCA_EGRESS_REDIR, 20);
  parms.writeInt32LE(to, 24);
  const action: StreamData = (out) => {
    out.push(TCA_ACT_KIND, Buffer.from("mirred\0"));
    out.push(TCA_ACT_OPTIONS, (inner) => inner.push(TCA_MIRRED_PARMS, parms));
  };
  return (out) => out.push(1, action);
}

/** struct tc_u32_sel with one key, of which mask and value are zero: u8 flags, offshift, nkeys; the rest is zero. */
function matchAll(): Buffer {
  const selector = Buffer.alloc(32);
  selector.writeUInt8(TC_U32_TERMINAL, 0);
  selector.writeUInt8(1, 2);
  return selector;
}

/** Where a filter redirects everything to; undefined if it does something else, or only for some packets. */
function targetOf(payload: Buffer): number | undefined {
  const all = attributeMap(payload.subarray(20));
  const kind = getString(all.get(TCA_KIND) ?? Buffer.alloc(1));
  const options = attributeMap(all.get(TCA_OPTIONS));
  if (kind === "u32" ? !matchesAll(options.get(TCA_U32_SEL)) : kind !== "matchall") return undefined;
  const actions = attributeMap(options.get(kind === "u32" ? TCA_U32_ACT : TCA_MATCHALL_ACT));
  for (const action of actions.values()) {
    const parts = attributeMap(action);
    if (getString(parts.get(TCA_ACT_KIND) ?? Buffer.alloc(1)) !== "mirred") continue;
    const parms = attributeMap(parts.get(TCA_ACT_OPTIONS)).get(TCA_MIRRED_PARMS);
    if (parms?.readInt32LE(20) === TCA_EGRESS_REDIR) return parms.readInt32LE(24);
  }
  return undefined;
}

/** Whether the mask of each key, 16 bytes from byte 16 on, is zero. A u32 filter's own table has no selector. */
function matchesAll(selector: Buffer | undefined): boolean {
  if (selector === undefined) return false;
  for (let key = 0; key < selector.readUInt8(2); key++) if (selector.readUInt32LE(16 + 16 * key) !== 0) return false;
  return true;
}
