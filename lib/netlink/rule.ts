/**
 * Rules of policy routing: `ip rule`. Which table is asked for a packet, by where it comes from.
 *
 * @module
 */
import { getU32, putU32, type StreamData } from "netlink/dist/structs";
import { type Address, addressBytes, addressFromBytes, type Family } from "../net/address.ts";
import { type Cidr, formatCidr, networkOf } from "../net/cidr.ts";
import { attributeMap } from "./bytes.ts";
import { AF_INET, NLM_F_CREATE, NLM_F_EXCL } from "./constants.ts";
import { familyNumber, isAboutIp } from "./family.ts";
import type { RtSocket } from "./socket.ts";

// linux/rtnetlink.h
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
// linux/fib_rules.h
const FRA_SRC = 2;
const FRA_PRIORITY = 6;
const FRA_TABLE = 15;
const FRA_PROTOCOL = 21;
const FR_ACT_TO_TBL = 1;
/** What of a rule narrows it to some packets beside its source: destination, interfaces, mark, user, protocol, ports. */
const FRA_CONDITIONS = [1, 3, 10, 12, 17, 20, 22, 23, 24];
// struct fib_rule_hdr
const HEADER_BYTES = 12;

/** A rule to set. */
export interface RuleSpec {
  readonly src: Cidr;
  readonly table: number;
  /** Lower is asked first. The kernel's choice is the one before the lowest that is there. */
  readonly priority?: number;
  /** `RTPROT_*`: who set it. None unless given, as of `ip rule add`. */
  readonly protocol?: number;
}

/** A rule as the kernel shows it. */
export interface Rule {
  readonly family: Family;
  /** Undefined: packets from anywhere. */
  readonly src: Cidr | undefined;
  /** 0 for rules that lead to no table. */
  readonly table: number;
  readonly priority: number;
  readonly protocol: number;
  /** Whether it holds for some packets from there only. */
  readonly isConditional: boolean;
}

/** `ip rule add from SRC table TABLE`; false if there is one like it. */
export function ruleAdd(socket: RtSocket, rule: RuleSpec): boolean {
  const body = bodyOf(rule, FR_ACT_TO_TBL);
  const what = `add rule ${describeRule(rule)}`;
  return socket.change({ type: RTM_NEWRULE, flags: NLM_F_CREATE | NLM_F_EXCL, body, what }, "EEXIST");
}

/** `ip rule del from SRC table TABLE`; false if it was not there. What the spec does not say may be anything. */
export function ruleDel(socket: RtSocket, rule: RuleSpec): boolean {
  const what = `delete rule ${describeRule(rule)}`;
  return socket.change({ type: RTM_DELRULE, body: bodyOf(rule, 0), what }, "ENOENT", "ESRCH");
}

/** `ip [-4|-6] rule show`. */
export function ruleList(socket: RtSocket, filter: { readonly family?: Family } = {}): readonly Rule[] {
  const body = header(familyNumber(filter.family));
  return socket.dump({ type: RTM_GETRULE, body, what: "list rules" }).filter(isAboutIp).map(parseRule);
}

/** `from 10.1.0.5/32 lookup 100`, for messages. */
export function describeRule({ src, table }: Pick<RuleSpec, "src" | "table">): string {
  return `from ${formatCidr(src)} lookup ${table}`;
}

function bodyOf({ src, table, priority, protocol }: RuleSpec, action: number): StreamData {
  const { address, prefix } = networkOf(src);
  return (out) => {
    out.emit(header(familyNumber(address.family), { prefix, table: table < 256 ? table : 0, action }));
    out.push(FRA_SRC, bytes(address));
    if (protocol !== undefined) out.push(FRA_PROTOCOL, Uint8Array.of(protocol));
    if (table > 255) out.push(FRA_TABLE, putU32(table));
    if (priority !== undefined) out.push(FRA_PRIORITY, putU32(priority));
  };
}

/** struct fib_rule_hdr: u8 family, dst_len, src_len, tos, table, res1, res2, action; u32 flags. */
function header(family: number, { prefix = 0, table = 0, action = 0 } = {}): Buffer {
  const buffer = Buffer.alloc(HEADER_BYTES);
  buffer.set([family, 0, prefix, 0, table, 0, 0, action]);
  return buffer;
}

function parseRule(payload: Buffer): Rule {
  const family: Family = payload.readUInt8(0) === AF_INET ? 4 : 6;
  const all = attributeMap(payload.subarray(HEADER_BYTES));
  const number = (type: number) => {
    const data = all.get(type);
    return data === undefined ? undefined : getU32(data);
  };
  const src = all.get(FRA_SRC);
  const leadsToTable = payload.readUInt8(7) === FR_ACT_TO_TBL;
  return {
    family,
    src: src === undefined ? undefined : { address: addressFromBytes(src), prefix: payload.readUInt8(2) },
    table: leadsToTable ? (number(FRA_TABLE) ?? payload.readUInt8(4)) : 0,
    priority: number(FRA_PRIORITY) ?? 0,
    protocol: all.get(FRA_PROTOCOL)?.[0] ?? 0,
    isConditional: payload.readUInt8(3) !== 0 || FRA_CONDITIONS.some((type) => all.has(type)),
  };
}

function bytes(address: Address): Buffer {
  return Buffer.from(addressBytes(address));
}
