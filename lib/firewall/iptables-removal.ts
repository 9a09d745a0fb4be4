/**
 * Takes our rules out of iptables-nft without iptables: they are found by their tags, and go by the numbers that the
 * kernel gave them, in one transaction.
 *
 * iptables reads all rules of a table before it takes one away, and waits until the kernel has freed it. On a host with
 * a thousand containers that takes ten times as long as all the rest of a DEL.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { nftRulesWith } from "../iptables/nftables.ts";
import type { Family } from "../net/address.ts";
import { NftBatch } from "../nft/nftbatch.ts";
import { codeOfErrno } from "../sys/libc.ts";
import { talkOnce } from "../sys/nfnetlink.ts";
import type { Others } from "./engine.ts";
import { layoutOf, partOfChain } from "./iptables-layout.ts";
import { type Entry, type IptablesRule, sharedKey, sharedOf, tagOf } from "./record.ts";

type Table = IptablesRule["table"];
type Place = { readonly table: Table; readonly chain: string };

/** What goes of one family. */
export interface Leaving {
  readonly family: Family;
  readonly entries: readonly Entry[];
  readonly others: Others;
  /** Administrators' chains that nobody needs any more. */
  readonly ending: ReadonlySet<string>;
}

/** @throws TsnetError `not-found` if the kernel holds something else than the entries say: nothing has changed then. */
export function removeFromKernel(leaving: readonly Leaving[]): void {
  const batch = new NftBatch();
  for (const one of leaving) writeRemoval(new Removal(batch, one.family), one);
  const refused = batch.send({ talk: talkOnce });
  if (refused === undefined) return;
  throw new TsnetError(`iptables: cannot remove rules: ${refused.errno}`, {
    code: codeOfErrno(refused.errno),
    op: "remove rules",
    errno: refused.errno,
  });
}

function writeRemoval(removal: Removal, { family, entries, others, ending }: Leaving): void {
  const mine = entries.filter((entry) => entry.families.includes(family));
  const last = new Set(mine.map((entry) => entry.part).filter((part) => !others.has(part, family)));
  const layouts = [...last].map((part) => layoutOf(part, family));
  for (const { table, from, to } of layouts.flatMap(({ jumps }) => jumps)) {
    removal.rules({ table, chain: from }, `${to}\0`, 1);
  }
  const stays = ({ chain }: IptablesRule) => !last.has(partOfChain(chain) ?? "accept");
  for (const shared of sharedOf(mine, family)) {
    if (others.shares(sharedKey(shared), family)) continue;
    removal.tagged(
      shared.rules.filter((rule) => rule.family === family && stays(rule)),
      `shared.${sharedKey(shared)} `,
    );
  }
  for (const { attachment, content } of mine) {
    removal.tagged(
      content.rules.filter((rule) => rule.family === family && stays(rule)),
      `${tagOf(attachment)} `,
    );
  }
  // Nothing may lead to a chain that goes.
  const own = mine.flatMap(({ content }) => content.chains.filter((chain) => chain.family === family));
  const chains = [
    ...layouts.flatMap((layout) => layout.chains),
    ...own.map(({ chain }): Place => ({ table: "nat", chain })),
  ];
  for (const place of chains) removal.flush(place);
  for (const place of chains) removal.chain(place);
  for (const chain of ending) removal.chain({ table: "filter", chain });
}

/** Writes what goes of one family into a batch. */
class Removal {
  readonly #batch: NftBatch;
  readonly #family: Family;

  constructor(batch: NftBatch, family: Family) {
    this.#batch = batch;
    this.#family = family;
  }

  /** All rules of these, which bear one tag. */
  tagged(rules: readonly IptablesRule[], tag: string): void {
    const counts = new Map<string, { readonly place: Place; count: number }>();
    for (const { table, chain } of rules) {
      const there = counts.get(chain);
      if (there === undefined) counts.set(chain, { place: { table, chain }, count: 1 });
      else there.count++;
    }
    for (const { place, count } of counts.values()) this.rules(place, tag, count);
  }

  /** The rules of a chain that say `text`. @throws TsnetError `not-found` if there are not `count` of them. */
  rules(place: Place, text: string, count: number): void {
    const handles = nftRulesWith(this.#family, place.table, place.chain, text);
    if (handles.length !== count) {
      throw new TsnetError(`${place.table} ${place.chain} has ${handles.length} rules of ours where ${count} were`, {
        code: "not-found",
        op: "remove rules",
      });
    }
    for (const handle of handles) this.#batch.deleteRule({ ...this.#at(place), handle });
  }

  flush(place: Place): void {
    this.#batch.flushChain(this.#at(place));
  }

  chain(place: Place): void {
    this.#batch.deleteChain(this.#at(place));
  }

  #at({ table, chain }: Place) {
    return { family: this.#family === 4 ? "ip" : "ip6", table, chain } as const;
  }
}
