/**
 * Verbs for the fixed parts of our nftables table and for the elements of an entry.
 *
 * @module
 */
import type { NftTransaction } from "../nft/transaction.ts";
import { ADMIN, FAMILY, type NftLayout, TABLE, typeOfSet } from "./nftables-layout.ts";
import { commentOf, type Entry, type Shared, sharedComment } from "./record.ts";

/** Where everything of ours is. */
export const AT = { family: FAMILY, table: TABLE } as const;

/** Makes the chains, sets and rules that a part stands on; to `create` them fails where they are there. */
export function declare(tx: NftTransaction, layout: NftLayout | undefined, how: "create" | "add"): void {
  if (layout === undefined) return;
  for (const chain of layout.chains)
    how === "create" ? tx.createChain({ ...AT, ...chain }) : tx.addChain({ ...AT, ...chain });
  for (const { set, typeof: key, value, flags } of layout.sets) {
    const more = flags === undefined ? {} : { flags };
    if (value === undefined) tx.addSet({ ...AT, set, typeof: key, ...more });
    else tx.addMap({ ...AT, map: set, key, value, ...more });
  }
  for (const rule of layout.rules) tx.addRule({ ...AT, ...rule });
}

/** Removes them with all their elements. */
export function undeclare(tx: NftTransaction, layout: NftLayout | undefined): void {
  for (const { chain } of layout?.chains ?? []) tx.flushChain({ ...AT, chain });
  for (const { chain } of layout?.chains ?? []) tx.deleteChain({ ...AT, chain });
  for (const { set, value } of layout?.sets ?? []) removeSet(tx, set, value !== undefined);
}

export function removeSet(tx: NftTransaction, set: string, isMap: boolean): void {
  if (isMap) tx.deleteMap({ ...AT, map: set });
  else tx.deleteSet({ ...AT, set });
}

/** Adds what entries share; a chain of the administrator's is made where it is not there. */
export function addShared(tx: NftTransaction, shared: Shared): void {
  const comment = sharedComment(shared);
  if (shared.adminChain !== undefined) {
    tx.addChain({ ...AT, chain: shared.adminChain });
    tx.addRule({ ...AT, chain: ADMIN, rule: `jump ${shared.adminChain}`, comment });
  }
  for (const element of shared.elements) tx.createElement({ ...AT, ...element, comment, ...typeOfSet(element.set) });
}

/** Adds the elements of an entry, and the chain of its conditions. */
export function addContent(tx: NftTransaction, { attachment, content }: Entry): void {
  const comment = commentOf(attachment);
  for (const { chain, rules } of content.chains) {
    tx.addChain({ ...AT, chain });
    for (const rule of rules) tx.addRule({ ...AT, chain, rule, comment });
  }
  for (const element of content.elements) tx.createElement({ ...AT, ...element, comment, ...typeOfSet(element.set) });
}
