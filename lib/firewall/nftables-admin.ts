/**
 * What in our nftables table is not of one attachment alone: chains of the administrator's, which are never written
 * to, and what several attachments share. Pure; off the fast path.
 *
 * @module
 */
import type { NftTable } from "../nft/nft.ts";
import { ADMIN, OWN_CHAINS, partOfSet } from "./nftables-layout.ts";
import { tagOfOwnChain } from "./nftables-plan.ts";
import { type Element, type Entry, parseSharedComment, sharedKey, sharedOf } from "./record.ts";
import type { Part } from "./types.ts";

/** Shared things that are there and that no entry shares. */
export interface Strangers {
  readonly elements: readonly (Element & { readonly part: Part; readonly comment: string })[];
  readonly jumps: readonly { readonly chain: string; readonly comment: string }[];
  /** Where the jumps lead. */
  readonly chains: readonly string[];
}

export const NO_STRANGERS: Strangers = { elements: [], jumps: [], chains: [] };

/** What may be shared by containers of which no entry tells. */
export function strangersOf(table: NftTable | undefined, wanted: readonly Entry[]): Strangers {
  const known = new Set(sharedOf(wanted).map(sharedKey));
  const isStrange = (comment: string | undefined) => {
    const key = parseSharedComment(comment);
    return key !== undefined && !known.has(key);
  };
  const elements = [...(table?.sets.values() ?? [])].flatMap(({ set, elements: all }) => {
    const part = partOfSet(set);
    if (part === undefined) return [];
    return all.flatMap(({ key, comment = "" }) => (isStrange(comment) ? [{ set, key, part, comment }] : []));
  });
  const jumps = jumpsOf(table).filter(({ comment }) => isStrange(comment));
  return { elements, jumps, chains: jumps.map(({ chain }) => chain) };
}

/** The administrators' chains that entries want to be asked. */
export function adminChainsOf(entries: readonly Entry[]): readonly string[] {
  return sharedOf(entries).flatMap(({ adminChain }) => adminChain ?? []);
}

/** The administrators' chains that are asked in the kernel. */
export function askedChains(table: NftTable | undefined): readonly string[] {
  return jumpsOf(table).map(({ chain }) => chain);
}

/** Those of `chains` that are there and say nothing, and that no chain of others leads to. */
export function emptyAdminChains(table: NftTable | undefined, chains: readonly string[]): readonly string[] {
  return [...new Set(chains)].filter((chain) => table?.chains.get(chain)?.rules.length === 0 && !isLedTo(table, chain));
}

function isLedTo({ chains }: NftTable, target: string): boolean {
  const others = [...chains.values()].filter(({ chain }) => !OWN_CHAINS.has(chain));
  // A verdict as libnftables-json(5) has it.
  const verdict = JSON.stringify({ target });
  return others.some(({ rules }) => rules.some(({ expressions }) => JSON.stringify(expressions).includes(verdict)));
}

/** Whether the table holds anything that is neither ours nor to go. */
export function holdsMore(table: NftTable, unused: readonly string[]): boolean {
  const chains = [...table.chains.keys()].some(
    (chain) => !OWN_CHAINS.has(chain) && tagOfOwnChain(chain) === undefined && !unused.includes(chain),
  );
  return chains || [...table.sets.keys()].some((set) => partOfSet(set) === undefined);
}

/** The comment of a jump names its chain. */
function jumpsOf(table: NftTable | undefined): readonly { readonly chain: string; readonly comment: string }[] {
  return (table?.chains.get(ADMIN)?.rules ?? []).flatMap(({ comment = "" }) => {
    const [, chain] = /^shared\.[0-9a-f]{8} admin chain (\S+)$/.exec(comment) ?? [];
    return chain === undefined ? [] : [{ chain, comment }];
  });
}
