/**
 * The input of `iptables-restore --noflush`.
 *
 * @module
 */
import type { IptablesTable } from "../../lib/iptables/transaction.ts";

/** The rules of chains, each without `-A CHAIN `. */
export type Chains = ReadonlyMap<string, readonly string[]>;

export interface TableChange {
  /** Chains that are made, or emptied, and filled. */
  readonly write?: Chains;
  /** Chains that go; nothing that stays may jump to them afterwards. */
  readonly remove?: readonly string[];
  /** Other commands, behind the chains' rules. */
  readonly commands?: readonly string[];
}

/** What changes one table, whole or not at all; nothing if nothing is to change. */
export function tableText(
  table: IptablesTable,
  { write = new Map(), remove = [], commands = [] }: TableChange,
): string {
  if (write.size + remove.length + commands.length === 0) return "";
  // iptables-nft puts a name in its place by a walk from the list's head: backwards that is one step.
  const names = [...write.keys(), ...remove].sort().reverse();
  const lines = [`*${table}`, ...names.map((chain) => `:${chain} - [0:0]`)];
  for (const [chain, rules] of write) for (const rule of rules) lines.push(`-A ${chain} ${rule}`);
  lines.push(...commands, ...remove.map((chain) => `-X ${chain}`), "COMMIT\n");
  return lines.join("\n");
}

/** A chain's rules as a number, to tell whether another's are the same. */
export function fingerprint(rules: readonly string[]): number {
  return Bun.hash.xxHash32(rules.join("\n"));
}

export function countRules(chains: Chains): number {
  let count = 0;
  for (const rules of chains.values()) count += rules.length;
  return count;
}
