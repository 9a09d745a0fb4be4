/**
 * The walls in iptables: in the table mangle, whose FORWARD every packet passes before that of the table filter. A
 * drop there is final, so that no accept in filter opens a wall, whoever wrote it and wherever in the chain: Docker
 * puts its own first at every start.
 *
 * The chain TSNET-USER, in mangle too, is the administrator's: it is asked first, made if it is not there, and
 * never written to. Rules are written as iptables-save prints them, so that what is there can be compared.
 *
 * @module
 */
import type { Iptables, SavedTable } from "../../lib/iptables/iptables.ts";
import { IptablesTransaction } from "../../lib/iptables/transaction.ts";
import type { Family } from "../../lib/net/address.ts";
import type { Builder } from "./builder.ts";
import { isNothing, type Walls } from "./walls.ts";

const USER = "TSNET-USER";
const GUARD = "TSNET-GUARD";

/** Where our chains are. */
export const OWN_TABLES = ["mangle", "raw"] as const;
/** What they are called. */
export const OWN_CHAINS: readonly string[] = ["TSNET-ISOLATION", "TSNET-INSIDE", "TSNET-LOOPBACK"];

type Table = (typeof OWN_TABLES)[number];
type Saved = ReadonlyMap<string, SavedTable>;

/** A chain of ours, and the built-in one that leads to it before all else. */
interface OwnChain {
  readonly table: Table;
  readonly from: "FORWARD" | "INPUT" | "PREROUTING";
  readonly chain: string;
  /** None: the chain is not wanted. */
  readonly rules: readonly string[];
}

/** The walls of this host in one of its iptables. `holdsOurs` tells whether a family has a chain of ours at all. */
export function iptablesBuilder(iptables: Iptables, holdsOurs?: (family: Family) => Promise<boolean>): Builder {
  // Where no chain is ours, nothing of ours leads anywhere, and what others have is no matter.
  const save = async (family: Family): Promise<Saved> =>
    (await holdsOurs?.(family)) === false ? new Map() : await iptables.save(family, OWN_TABLES);
  return {
    async missing(walls) {
      if (isNothing(walls)) return undefined;
      const lacking = await bothFamilies(async (family) => {
        const saved = await save(family);
        return chainsOf(walls, family).find((own) => !isThere(own, saved));
      });
      const first = lacking.find((one) => one !== undefined);
      return first === undefined ? undefined : `rules of chain ${first.chain} in the table ${first.table}`;
    },
    async build(walls) {
      await bothFamilies(async (family) => iptables.run(family, writing(chainsOf(walls, family), await save(family))));
    },
    async remove() {
      await bothFamilies(async (family) => iptables.run(family, removing(await save(family))));
    },
  };
}

function bothFamilies<T>(work: (family: Family) => Promise<T>): Promise<readonly T[]> {
  return Promise.all([work(4), work(6)]);
}

function chainsOf(walls: Walls, family: Family): readonly OwnChain[] {
  return [
    { table: "mangle", from: "FORWARD", chain: "TSNET-ISOLATION", rules: forwardRules(walls, family) },
    { table: "mangle", from: "INPUT", chain: "TSNET-INSIDE", rules: inputRules(walls, family) },
    { table: "raw", from: "PREROUTING", chain: "TSNET-LOOPBACK", rules: family === 4 ? LOOPBACK_RULES : [] },
  ];
}

const ANSWERS = "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN";

// The host's routing lets packets for 127.0.0.0/8 in where route_localnet is set, by us for published ports or by
// somebody else for all links (CVE-2020-8558): what does not come by lo ends here.
const LOOPBACK_RULES = ["-d 127.0.0.0/8 ! -i lo -j DROP", "-s 127.0.0.0/8 ! -i lo -j DROP"];

function forwardRules({ pairs, isolated, internal }: Walls, family: Family): readonly string[] {
  return [
    `-j ${USER}`,
    ...pairs.map(([from, to]) => `-i ${from} -o ${to} -j RETURN`),
    ...internal.flatMap((bridge) => [`-i ${bridge} -j DROP`, `-o ${bridge} -j DROP`]),
    ANSWERS,
    // A published port led it here.
    "-m conntrack --ctstate DNAT -j RETURN",
    ...isolated.flatMap(({ bridge, subnets }) =>
      subnets === undefined
        ? [`-o ${bridge} -j DROP`]
        : subnets
            .filter((subnet) => subnet.includes(":") === (family === 6))
            .map((subnet) => `-d ${subnet} -o ${bridge} -j DROP`),
    ),
  ];
}

function inputRules({ internal }: Walls, family: Family): readonly string[] {
  if (internal.length === 0) return [];
  // Neighbour solicitations and advertisements, without which the host could not find its containers.
  const neighbours =
    family === 4 ? [] : [135, 136].map((type) => `-p ipv6-icmp -m icmp6 --icmpv6-type ${type} -j RETURN`);
  return [ANSWERS, ...neighbours, ...internal.flatMap((bridge) => [`-i ${bridge} -j ${USER}`, `-i ${bridge} -j DROP`])];
}

/** The jumps to the guard that comes with published ports: it stands before ours, and lets nothing through that would end there. */
function guardsOf({ table, from }: OwnChain, saved: Saved) {
  return (saved.get(table)?.chains.get(from)?.rules ?? []).filter(({ words }) => words.at(-1) === GUARD);
}

/** Whether a chain is as it shall be, and led to once and first. */
function isThere({ table, from, chain, rules }: OwnChain, saved: Saved): boolean {
  const chains = saved.get(table)?.chains;
  const there = chains?.get(chain)?.rules;
  const leading = chains?.get(from)?.rules ?? [];
  const jumps = leading.filter(({ words }) => words.at(-1) === chain);
  if (rules.length === 0) return there === undefined && jumps.length === 0;
  const first = leading.find(({ words }) => words.at(-1) !== GUARD);
  if (jumps.length !== 1 || first?.text !== `-j ${chain}`) return false;
  return there?.length === rules.length && rules.every((rule, at) => there[at]?.text === rule);
}

/** Each table is changed whole. The chain of the user's is only ever made. */
function writing(chains: readonly OwnChain[], saved: Saved): IptablesTransaction {
  const tx = new IptablesTransaction();
  const wrong = chains.filter((own) => !isThere(own, saved));
  const asks = wrong.some(({ rules }) => rules.some((rule) => rule.endsWith(`-j ${USER}`)));
  if (asks && saved.get("mangle")?.chains.has(USER) !== true) tx.newChain("mangle", USER);
  for (const own of wrong) {
    const { table, from, chain, rules } = own;
    if (rules.length === 0) {
      removeChain(tx, own, saved);
      continue;
    }
    tx.resetChain(table, chain);
    for (const rule of rules) tx.append(table, chain, rule);
    removeJumps(tx, own, saved);
    tx.insert(table, from, `-j ${chain}`);
    // Whoever was repaired last would else be first, and the rules not as before.
    for (const { text } of guardsOf(own, saved)) tx.delete(table, from, text).insert(table, from, text);
  }
  return tx;
}

/** Rules that somebody wrote into the chain of the user's stay, and the chain with them. */
function removing(saved: Saved): IptablesTransaction {
  const tx = new IptablesTransaction();
  for (const own of chainsOf({ pairs: [], isolated: [], internal: [] }, 4)) removeChain(tx, own, saved);
  const chains = [...(saved.get("mangle")?.chains.values() ?? [])];
  const user = chains.find(({ chain }) => chain === USER);
  const asked = chains.some(
    ({ chain, rules }) => !OWN_CHAINS.includes(chain) && rules.some(({ words }) => words.at(-1) === USER),
  );
  if (user?.rules.length === 0 && !asked) tx.deleteChain("mangle", USER);
  return tx;
}

function removeChain(tx: IptablesTransaction, own: OwnChain, saved: Saved): void {
  removeJumps(tx, own, saved);
  const { table, chain } = own;
  if (saved.get(table)?.chains.has(chain) === true) tx.flushChain(table, chain).deleteChain(table, chain);
}

function removeJumps(tx: IptablesTransaction, { table, from, chain }: OwnChain, saved: Saved): void {
  for (const { text, words } of saved.get(table)?.chains.get(from)?.rules ?? []) {
    if (words.at(-1) === chain) tx.delete(table, from, text);
  }
}
