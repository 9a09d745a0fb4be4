/**
 * Our tables of nftables, `ip tsnet-overlay` and `ip6 tsnet-overlay`: masquerade alone, since an accept in a table of
 * ours would overrule nobody's drop (accept.ts).
 *
 * Written straight to the kernel, without `nft`, which would read everybody's tables first. A family each, as kernels
 * before 5.2 have no nat chain in `inet`. Each change writes both tables whole in one transaction, in which flannel's
 * go, so that no packet meets none or both.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { masquerade, masqueradeSamePort, verdict } from "../../lib/nft/actions.ts";
import { refusalError } from "../../lib/nft/elementtext.ts";
import { addressIn, hasMark } from "../../lib/nft/matches.ts";
import { NftBatch, type NftDoor } from "../../lib/nft/nftbatch.ts";
import { readRules, readTable } from "../../lib/nft/reading.ts";
import type { BuiltRule, NftStatement } from "../../lib/nft/rule.ts";
import type { NftHook, NftTableName } from "../../lib/nft/specs.ts";
import type { NfSocket } from "../../lib/sys/nfsocket.ts";
import type { OverlayRule } from "./rules.ts";

export const TABLE = "tsnet-overlay";
export const FLANNEL_TABLES = { 4: "flannel-ipv4", 6: "flannel-ipv6" } as const;

const CHAIN = "postrouting";
// `srcnat`.
const HOOK: NftHook = { type: "nat", hook: "postrouting", priority: 100 };
const TABLE_COMMENT = "masquerade by tsnet overlay";
const FAMILIES = [4, 6] as const;
// Others change rules while ours are read.
const TRIES = 5;

export type RulesOfFamilies = Readonly<Record<Family, readonly OverlayRule[]>>;

/** Our tables as they were last written. */
export class NftTables {
  readonly #socket: NfSocket;
  #handles: ReadonlyMap<Family, string> = new Map();

  constructor(socket: NfSocket) {
    this.#socket = socket;
  }

  /**
   * Makes them so, in one transaction; a family without rules has no table.
   *
   * @throws TsnetError `kernel-lacks`, `permission`.
   */
  write(rules: RulesOfFamilies): void {
    const batch = new NftBatch();
    for (const family of FAMILIES) {
      if (rules[family].length > 0) replaceTable(batch, family, rules[family]);
      else this.#removeTable(batch, tableOf(family));
      this.#removeTable(batch, flannelTableOf(family));
    }
    this.#send(batch);
    this.#handles = new Map(FAMILIES.map((family) => [family, this.#handlesOf(family)]));
  }

  /** Whether nobody changed them since. */
  intact(): boolean {
    return [...this.#handles].every(([family, handles]) => this.#handlesOf(family) === handles);
  }

  /** Ours and flannel's; false if there were none, or the kernel has no nftables. @throws TsnetError `permission`. */
  remove(): boolean {
    const batch = new NftBatch();
    for (const table of FAMILIES.flatMap((family) => [tableOf(family), flannelTableOf(family)])) {
      this.#removeTable(batch, table);
    }
    this.#send(batch);
    this.#handles = new Map();
    return batch.messages > 0;
  }

  #removeTable(batch: NftBatch, table: NftTableName): void {
    if (readTable(this.#socket, table) === undefined) return;
    // It may go by somebody else's hand before we come to it, and the transaction shall not fail for that.
    batch.addTable(table);
    batch.deleteTable(table);
  }

  /** The kernel gives each rule a number that it never gives again. */
  #handlesOf(family: Family): string {
    for (let tries = 1; ; tries++) {
      const handles = [...readRules(this.#socket, tableOf(family))].map(({ handle }) => handle).join(" ");
      if (!this.#socket.interrupted || tries === TRIES) return handles;
    }
  }

  #send(batch: NftBatch): void {
    const refused = batch.send(this.#socket);
    if (refused !== undefined) throw refusalError(refused, () => undefined);
  }
}

/** Tries, without a trace, whether the kernel has what our tables need. @throws TsnetError `kernel-lacks`, `permission`. */
export function probeNftables(door: NftDoor): void {
  const batch = new NftBatch();
  const probe = { family: "ip", table: `${TABLE}-probe` } as const;
  batch.addTable(probe);
  batch.addChain({ ...probe, chain: CHAIN }, { hook: HOOK });
  batch.addRule({ ...probe, chain: CHAIN }, { statements: [masquerade] });
  batch.deleteTable(probe);
  const refused = batch.send(door);
  if (refused !== undefined) throw refusalError(refused, () => undefined);
}

export function tableOf(family: Family): NftTableName {
  return { family: family === 4 ? "ip" : "ip6", table: TABLE };
}

export function flannelTableOf(family: Family): NftTableName {
  return { ...tableOf(family), table: FLANNEL_TABLES[family] };
}

function replaceTable(batch: NftBatch, family: Family, rules: readonly OverlayRule[]): void {
  const table = tableOf(family);
  batch.addTable(table, TABLE_COMMENT);
  // Whatever somebody made of it.
  batch.deleteTable(table);
  batch.addTable(table, TABLE_COMMENT);
  const chain = { ...table, chain: CHAIN };
  batch.addChain(chain, { hook: HOOK });
  for (const rule of rules) batch.addRule(chain, builtRule(rule));
}

function builtRule({ mark, source, destination, action, randomFully, why }: OverlayRule): BuiltRule {
  const statements: NftStatement[] = [];
  if (mark !== undefined) statements.push(hasMark(mark));
  if (source !== undefined) statements.push(addressIn("saddr", source.cidr, { not: source.not === true }));
  if (destination !== undefined) {
    statements.push(addressIn("daddr", destination.cidr, { not: destination.not === true }));
  }
  if (action !== "masquerade") statements.push(verdict(action));
  else statements.push(randomFully === true ? masquerade : masqueradeSamePort);
  return { statements, comment: why };
}
