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
import { leadingTo, nftRulesWith } from "../iptables/nftables.ts";
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
    removal.expect({ table, chain: from }, leadingTo(to));
  }
  const stays = ({ chain }: IptablesRule) => !last.has(partOfChain(chain) ?? "accept");
  for (const shared of sharedOf(mine, family)) {
    if (others.shares(sharedKey(shared), family)) continue;
    const tag = Buffer.from(`shared.${sharedKey(shared)} `);
    for (const rule of shared.rules) if (rule.family === family && stays(rule)) removal.expect(rule, tag);
  }
  for (const { attachment, content } of mine) {
    const tag = Buffer.from(`${tagOf(attachment)} `);
    for (const rule of content.rules) if (rule.family === family && stays(rule)) removal.expect(rule, tag);
  }
  removal.writeRules();
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
  /** By chain, and by what they say, how many rules go. */
  readonly #expected = new Map<string, { readonly place: Place; readonly counts: Map<string, number> }>();

  constructor(batch: NftBatch, family: Family) {
    this.#batch = batch;
    this.#family = family;
  }

  /** One more rule of this chain goes, in whose bytes are these. */
  expect({ table, chain }: Place, bytes: Buffer): void {
    const key = `${table} ${chain}`;
    const { counts } = this.#expected.get(key) ?? { counts: new Map<string, number>() };
    const text = bytes.toString("latin1");
    counts.set(text, (counts.get(text) ?? 0) + 1);
    this.#expected.set(key, { place: { table, chain }, counts });
  }

  /** Each chain is read once, however many containers go. @throws TsnetError `not-found` if it holds more or fewer. */
  writeRules(): void {
    for (const { place, counts } of this.#expected.values()) {
      const texts = [...counts.keys()].map((text) => Buffer.from(text, "latin1"));
      const found = nftRulesWith(this.#family, place.table, place.chain, texts);
      for (const [at, count] of [...counts.values()].entries()) {
        const handles = found[at] ?? [];
        if (handles.length !== count) throw surprise(place, handles.length, count);
        for (const handle of handles) this.#batch.deleteRule({ ...this.#at(place), handle });
      }
    }
  }

  flush(place: Place): void {
    this.#batch.flushChain(this.#at(place));
  }

  chain(place: Place): void {
    this.#batch.deleteEmptyChain(this.#at(place));
  }

  #at({ table, chain }: Place) {
    return { family: this.#family === 4 ? "ip" : "ip6", table, chain } as const;
  }
}

function surprise({ table, chain }: Place, found: number, expected: number): TsnetError {
  return new TsnetError(`${table} ${chain} has ${found} rules of ours where ${expected} were`, {
    code: "not-found",
    op: "remove rules",
  });
}
