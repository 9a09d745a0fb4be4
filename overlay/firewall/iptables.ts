/**
 * Our chains in iptables of one variant and family: TSNET-OVERLAY-MASQ in nat, TSNET-OVERLAY-FWD in filter, each with
 * one jump before whatever others have in POSTROUTING and FORWARD.
 *
 * Each change is one `iptables-restore`, in which flannel's chains go; a table is changed whole or not at all. What is
 * there is looked at without starting a program where the variant allows, since a look follows each change of rules by
 * anybody.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { type Iptables, type IptablesVariant, realIptables } from "../../lib/iptables/iptables.ts";
import { IptablesTransaction } from "../../lib/iptables/transaction.ts";
import type { Family } from "../../lib/net/address.ts";
import { formatCidr, networkOf } from "../../lib/net/cidr.ts";
import { builtInRules, chainState, hasChain, leadsTo } from "./iptables-look.ts";
import { PARTS, type Part, PLACES, type Place } from "./places.ts";
import type { OverlayRule, Side } from "./rules.ts";

/** The rules of each part; a part without any has no chain. */
export type PartRules = Readonly<Record<Part, readonly OverlayRule[]>>;

const NO_RULES: PartRules = { accept: [], masquerade: [] };
const JUMP_COMMENT = "tsnet overlay";

export class OverlayChains {
  readonly variant: IptablesVariant;
  readonly family: Family;
  readonly #iptables: Iptables;
  /** How each chain looked after it was written. */
  #states: ReadonlyMap<Part, string> = new Map();

  constructor(variant: IptablesVariant, family: Family) {
    this.variant = variant;
    this.family = family;
    this.#iptables = realIptables({ variant });
  }

  /**
   * Makes them so.
   *
   * @returns false if a chain of flannel's had to stay, empty, as somebody's rules jump there.
   * @throws TsnetError as {@link Iptables.run} does.
   */
  async write(rules: PartRules): Promise<boolean> {
    const whole = await this.#run(rules);
    const states = PARTS.filter((part) => rules[part].length > 0).map(
      async (part) => [part, await chainState(this, PLACES[part])] as const,
    );
    this.#states = new Map(await Promise.all(states));
    return whole;
  }

  /** Whether nobody changed what was written, nor the jumps there. */
  async intact(): Promise<boolean> {
    for (const [part, state] of this.#states) {
      if ((await chainState(this, PLACES[part])) !== state || state === "") return false;
    }
    return true;
  }

  /** Whether {@link write} put rules here that shall be. */
  get used(): boolean {
    return this.#states.size > 0;
  }

  /** Ours and flannel's; false if there were none. @throws TsnetError as {@link Iptables.run} does. */
  async remove(): Promise<boolean> {
    if ((await this.#plan(NO_RULES, true)).empty) return false;
    await this.#run(NO_RULES);
    this.#states = new Map();
    return true;
  }

  async #run(rules: PartRules): Promise<boolean> {
    try {
      await this.#iptables.run(this.family, await this.#plan(rules, true));
      return true;
    } catch (error) {
      if (!isTsnetError(error, "busy") || !(await this.#hasFlannels())) throw error;
      await this.#iptables.run(this.family, await this.#plan(rules, false));
      return false;
    }
  }

  async #plan(rules: PartRules, deleteFlannels: boolean): Promise<IptablesTransaction> {
    const tx = new IptablesTransaction();
    for (const part of PARTS) {
      const place = PLACES[part];
      await (rules[part].length > 0 ? this.#planChain(tx, place, rules[part]) : this.#planRemoval(tx, place));
      await this.#planFlannels(tx, place, deleteFlannels);
    }
    return tx;
  }

  async #planChain(tx: IptablesTransaction, { table, from, chain }: Place, rules: readonly OverlayRule[]) {
    tx.resetChain(table, chain);
    for (const rule of rules) tx.append(table, chain, ruleText(rule), rule.why);
    const jumps = (await builtInRules(this, table, from)).filter((rule) => leadsTo(rule, chain));
    if (jumps.length === 0) tx.insert(table, from, `-j ${chain}`, JUMP_COMMENT);
  }

  async #planRemoval(tx: IptablesTransaction, { table, from, chain }: Place): Promise<void> {
    if (!(await hasChain(this, table, chain))) return;
    for (const rule of await builtInRules(this, table, from)) {
      if (leadsTo(rule, chain)) tx.delete(table, from, rule);
    }
    tx.resetChain(table, chain).deleteChain(table, chain);
  }

  async #planFlannels(tx: IptablesTransaction, place: Place, deleteChain: boolean): Promise<void> {
    const { table, from, flannel, flannelComment } = place;
    const isThere = await hasChain(this, table, flannel);
    for (const rule of await builtInRules(this, table, from)) {
      const isFlannels = leadsTo(rule, flannel) || rule.includes(`--comment "${flannelComment}"`);
      if (isFlannels) tx.delete(table, from, rule);
    }
    if (!isThere) return;
    tx.resetChain(table, flannel);
    if (deleteChain) tx.deleteChain(table, flannel);
  }

  async #hasFlannels(): Promise<boolean> {
    for (const part of PARTS) if (await hasChain(this, PLACES[part].table, PLACES[part].flannel)) return true;
    return false;
  }
}

/** As iptables takes it, its comment left out. */
export function ruleText({ mark, source, destination, action, randomFully }: OverlayRule): string {
  const words = [
    ...(mark === undefined ? [] : [`-m mark --mark 0x${mark.toString(16)}/0x${mark.toString(16)}`]),
    ...(source === undefined ? [] : [sideText("-s", source)]),
    ...(destination === undefined ? [] : [sideText("-d", destination)]),
    `-j ${action.toUpperCase()}`,
    ...(randomFully === true ? ["--random-fully"] : []),
  ];
  return words.join(" ");
}

function sideText(option: string, { cidr, not }: Side): string {
  return `${not === true ? "! " : ""}${option} ${formatCidr(networkOf(cidr))}`;
}
