/**
 * Rules as text, in the very form in which iptables-save prints them back: what was written and what is there can be
 * compared with no knowledge of iptables' language.
 *
 * @module
 */

import { iptablesComment } from "../../lib/iptables/transaction.ts";
import { type Address, bitsOf, formatAddress } from "../../lib/net/address.ts";
import { parseCidr } from "../../lib/net/cidr.ts";
import type { Protocol } from "../objects/objects.ts";

export interface RuleParts {
  /** `-s`, `-d`, `-i` with their values, in this order: {@link fromSource} and its like make them. */
  readonly where?: string | undefined;
  readonly protocol?: Protocol | undefined;
  /** Matches that stand before the comment: `-m conntrack --ctstate NEW`. */
  readonly first?: string | undefined;
  readonly comment?: string | undefined;
  /** Matches behind the comment. */
  readonly match?: string | undefined;
  /** `--dport`: a port, or `first:last`. */
  readonly port?: number | string | undefined;
  /** `-j KUBE-MARK-MASQ`; none: the rule only counts. */
  readonly target?: string | undefined;
}

/** What follows the chain's name. */
export function rule({ where, protocol, first, comment, match, port, target }: RuleParts): string {
  const parts: string[] = [];
  if (where !== undefined && where !== "") parts.push(where);
  if (protocol !== undefined) parts.push(`-p ${protocol}`);
  if (first !== undefined) parts.push(first);
  if (comment !== undefined) parts.push(`-m comment --comment ${quoted(comment)}`);
  if (match !== undefined) parts.push(match);
  if (port !== undefined) parts.push(`-m ${protocol} --dport ${port}`);
  if (target !== undefined) parts.push(target);
  return parts.join(" ");
}

/** `-s 10.1.0.0/16`; nothing for a network of all. */
export function fromSource(cidr: string): string {
  return matchOf("-s", cidr);
}

/** `-d 10.96.0.1/32`, of an address or a CIDR; nothing for a network of all. */
export function toDestination(cidr: string): string {
  return matchOf("-d", cidr);
}

/** Several of these, in iptables' order: source, destination, interface. */
export function joined(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== "").join(" ");
}

function matchOf(option: string, text: string): string {
  if (!text.includes("/")) return `${option} ${text}/${text.includes(":") ? 128 : 32}`;
  const { address, prefix } = parseCidr(text);
  return prefix === 0 ? "" : `${option} ${formatAddress(masked(address, prefix))}/${prefix}`;
}

/** The address with all bits behind the first `prefix` cleared. */
export function masked(address: Address, prefix: number): Address {
  const host = BigInt(bitsOf(address.family) - prefix);
  return { family: address.family, value: (address.value >> host) << host };
}

/**
 * One of `count`, by chance. The kernel has chances in 2^31sts; with eleven digits a number of these reads back as
 * itself.
 */
export function oneOf(count: number): string | undefined {
  if (count <= 1) return undefined;
  const chance = Math.round(2 ** 31 / count) / 2 ** 31;
  return `-m statistic --mode random --probability ${chance.toFixed(11)}`;
}

export function isFamily(family: 4 | 6, text: string): boolean {
  return text.includes(":") === (family === 6);
}

/** Whether the network holds every address of its family. */
export function isAll(cidr: string): boolean {
  return cidr.endsWith("/0");
}

/** As iptables-save quotes. */
function quoted(text: string): string {
  const comment = iptablesComment(text);
  return /^[\w-]+$/.test(comment) ? comment : `"${comment.replace(/["\\']/g, "\\$&")}"`;
}
