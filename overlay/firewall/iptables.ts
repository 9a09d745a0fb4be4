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
const TRIES = 4;

export class OverlayChains {
  readonly variant: IptablesVariant;
  readonly family: Family;
  readonly #iptables: Iptables;
  #randomFully = true;
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
    const whole = await this.#runAsRandom(rules);
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

  /** MASQUERADE of iptables before 1.6.2 knows no --random-fully. */
  async #runAsRandom(rules: PartRules): Promise<boolean> {
    const isRandom = rules.masquerade.some(({ randomFully }) => randomFully);
    if (isRandom && this.#randomFully) {
      try {
        return await this.#run(rules);
      } catch (error) {
        if (!isTsnetError(error, "kernel-lacks", "program")) throw error;
        this.#randomFully = false;
      }
    }
    const plain = rules.masquerade.map((rule) => ({ ...rule, randomFully: false }));
    return this.#run({ ...rules, masquerade: plain });
  }

  async #run(rules: PartRules): Promise<boolean> {
    let deleteFlannels = true;
    for (let triesLeft = TRIES - 1; ; triesLeft--) {
      try {
        await this.#iptables.run(this.family, await this.#plan(rules, deleteFlannels));
        return deleteFlannels;
      } catch (error) {
        // Others, who heed no lock of ours, may change rules between our look and our change.
        const isSurprise = isTsnetError(error, "not-found");
        const isHeld = isTsnetError(error, "busy") && deleteFlannels && (await this.#hasFlannels());
        if (triesLeft === 0 || (!isSurprise && !isHeld)) throw error;
        if (isHeld) deleteFlannels = false;
      }
    }
  }

  async #plan(rules: PartRules, deleteFlannels: boolean): Promise<IptablesTransaction> {
    const tx = new IptablesTransaction();
    for (const part of PARTS) {
      const place = PLACES[part];
      const { table, from, flannel } = place;
      const led = await builtInRules(this, table, from);
      if (rules[part].length > 0) planChain(tx, place, rules[part], led);
      else if (await hasChain(this, table, place.chain)) planRemoval(tx, place, led);
      const hasFlannels = await hasChain(this, table, flannel);
      planFlannels(tx, place, led, { empty: hasFlannels, remove: hasFlannels && deleteFlannels });
    }
    return tx;
  }

  async #hasFlannels(): Promise<boolean> {
    for (const part of PARTS) if (await hasChain(this, PLACES[part].table, PLACES[part].flannel)) return true;
    return false;
  }
}

/** `led`: the rules of the built-in chain. */
function planChain(tx: IptablesTransaction, place: Place, rules: readonly OverlayRule[], led: readonly string[]): void {
  const { table, from, chain } = place;
  tx.resetChain(table, chain);
  for (const rule of rules) tx.append(table, chain, ruleText(rule), rule.why);
  if (!led.some((rule) => leadsTo(rule, chain))) tx.insert(table, from, `-j ${chain}`, JUMP_COMMENT);
}

function planRemoval(tx: IptablesTransaction, { table, from, chain }: Place, led: readonly string[]): void {
  for (const rule of led) if (leadsTo(rule, chain)) tx.delete(table, from, rule);
  tx.resetChain(table, chain).deleteChain(table, chain);
}

function planFlannels(
  tx: IptablesTransaction,
  { table, from, flannel, flannelComment }: Place,
  led: readonly string[],
  chain: { readonly empty: boolean; readonly remove: boolean },
): void {
  for (const rule of led) {
    if (leadsTo(rule, flannel) || rule.includes(`--comment "${flannelComment}"`)) tx.delete(table, from, rule);
  }
  if (chain.empty) tx.resetChain(table, flannel);
  if (chain.remove) tx.deleteChain(table, flannel);
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
