/**
 * The walls in nftables: a table of our own, before everybody's rules in FORWARD.
 *
 * Base chains are asked one after the other, and a drop in any of them is final: no accept of others opens a wall,
 * and no order in which they were written matters. For the same reason an accept here overrules no drop of others.
 *
 * All that differs from host to host is in sets, so the rules can be counted to see whether they are there. The
 * chain `user` is the administrator's: it is asked first, made if it is not there, and never written to.
 *
 * @module
 */
import type { Nft, NftTable } from "../../lib/nft/nft.ts";
import { type NftHook, NftTransaction } from "../../lib/nft/transaction.ts";
import type { Builder } from "./builder.ts";
import { isNothing, type Walls } from "./walls.ts";

const AT = { family: "inet", table: "tsnet-isolation" } as const;
const USER = "user";

/** Before the chains of others at the same hook, where an admin's chain is asked first. */
const EARLY = -5;
/** NF_IP_PRI_RAW: before anything can be redirected. */
const RAW = -300;

/** Chains that are jumped to come last. */
const CHAINS: readonly { readonly chain: string; readonly hook?: NftHook; readonly rules: readonly string[] }[] = [
  {
    chain: "forward",
    hook: { type: "filter", hook: "forward", priority: EARLY },
    rules: [
      `jump ${USER}`,
      "iifname . oifname @open accept",
      "iifname @internal drop",
      "oifname @internal drop",
      "ct state established,related accept",
      // A published port led it here.
      "ct status dnat accept",
      "oifname @isolated drop",
      "oifname . ip daddr @isolated4 drop",
      "oifname . ip6 daddr @isolated6 drop",
    ],
  },
  {
    chain: "input",
    hook: { type: "filter", hook: "input", priority: EARLY },
    rules: ["iifname @internal jump inside"],
  },
  {
    // The host's routing lets packets for 127.0.0.0/8 in where route_localnet is set, by us for published ports or by
    // somebody else for all links (CVE-2020-8558): what does not come by lo ends here.
    chain: "loopback",
    hook: { type: "filter", hook: "prerouting", priority: RAW },
    rules: ['iifname != "lo" ip daddr 127.0.0.0/8 drop', 'iifname != "lo" ip saddr 127.0.0.0/8 drop'],
  },
  {
    chain: "inside",
    rules: [
      "ct state established,related accept",
      // Without these the host could not find its containers.
      "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
      `jump ${USER}`,
      "drop",
    ],
  },
];

const SETS: readonly { readonly set: string; readonly typeof: string; readonly interval?: true }[] = [
  { set: "open", typeof: "iifname . oifname" },
  { set: "internal", typeof: "iifname" },
  { set: "isolated", typeof: "oifname" },
  { set: "isolated4", typeof: "oifname . ip daddr", interval: true },
  { set: "isolated6", typeof: "oifname . ip6 daddr", interval: true },
];

/** The walls of this host in nftables. */
export function nftablesBuilder(nft: Nft): Builder {
  const list = () => nft.list(AT.family, AT.table);
  return {
    missing: async (walls) => missingFrom(await list(), walls),
    async build(walls) {
      if (missingFrom(await list(), walls) !== undefined) await nft.run(writing(walls));
    },
    async remove() {
      const table = await list();
      if (table !== undefined) await nft.run(removing(table));
    },
  };
}

/** What is not as it shall be, or undefined. */
function missingFrom(table: NftTable | undefined, walls: Walls): string | undefined {
  if (isNothing(walls)) return undefined;
  const where = `${AT.family} ${AT.table}`;
  if (table === undefined) return `table ${where}`;
  const chain = CHAINS.find(({ chain: name, hook, rules }) => {
    const there = table.chains.get(name);
    return there?.rules.length !== rules.length || there.hook?.hook !== hook?.hook;
  });
  if (chain !== undefined) return `rules of chain ${where} ${chain.chain}`;
  for (const [set, keys] of elementsOf(walls)) {
    const there = table.sets.get(set)?.elements.map(({ key }) => plain(key));
    const same = there?.length === keys.length && keys.every((key) => there.includes(plain(key)));
    if (!same) return `elements of set ${where} ${set}`;
  }
  return undefined;
}

/** The table as it shall be, in place of what it is, in one change. The chain of the user's stays. */
function writing(walls: Walls): NftTransaction {
  const tx = new NftTransaction().addTable(AT.family, AT.table).addChain({ ...AT, chain: USER });
  for (const { chain, hook } of CHAINS) tx.addChain({ ...AT, chain, ...(hook === undefined ? {} : { hook }) });
  for (const { set, typeof: key, interval } of SETS) {
    tx.addSet({ ...AT, set, typeof: key, ...(interval === undefined ? {} : { flags: ["interval"] }) });
  }
  for (const { chain } of CHAINS) tx.flushChain({ ...AT, chain });
  for (const { set } of SETS) tx.flushSet({ ...AT, set });
  for (const { chain, rules } of CHAINS) for (const rule of rules) tx.addRule({ ...AT, chain, rule });
  for (const [set, keys] of elementsOf(walls)) for (const key of keys) tx.addElement({ ...AT, set, key });
  return tx;
}

/** Rules that somebody wrote into the chain of the user's stay, and the table with them. */
function removing(table: NftTable): NftTransaction {
  const tx = new NftTransaction();
  if ((table.chains.get(USER)?.rules.length ?? 0) === 0) return tx.deleteTable(AT.family, AT.table);
  const chains = CHAINS.filter(({ chain }) => table.chains.has(chain));
  for (const { chain } of chains) tx.flushChain({ ...AT, chain });
  for (const { chain } of chains) tx.deleteChain({ ...AT, chain });
  for (const { set } of SETS) if (table.sets.has(set)) tx.deleteSet({ ...AT, set });
  return tx;
}

function elementsOf({ pairs, isolated, internal }: Walls): ReadonlyMap<string, readonly string[]> {
  const partly = isolated.flatMap(({ bridge, subnets }) => subnets?.map((subnet) => ({ bridge, subnet })) ?? []);
  const subnetsOf = (wanted: 4 | 6) =>
    partly
      .filter(({ subnet }) => subnet.includes(":") === (wanted === 6))
      .map(({ bridge, subnet }) => `"${bridge}" . ${subnet}`);
  return new Map([
    ["open", pairs.map(([from, to]) => `"${from}" . "${to}"`)],
    ["internal", internal.map((bridge) => `"${bridge}"`)],
    ["isolated", isolated.flatMap(({ bridge, subnets }) => (subnets === undefined ? [`"${bridge}"`] : []))],
    ["isolated4", subnetsOf(4)],
    ["isolated6", subnetsOf(6)],
  ]);
}

/** A key without the quotes, which not every nft lists. */
function plain(key: string): string {
  return key.replaceAll('"', "");
}
