/**
 * The firewall on native nftables: one table `inet tsnet` whose rules look things up in sets and maps, so that a
 * container is a few elements and never a rule or a chain. The kernel refuses a second element with the same key,
 * which makes a host port that is taken an error, and a lookup costs the same for one container and a thousand.
 *
 * Only packets to the host's own addresses enter `published`: transit traffic to the same port is none of our
 * business. What has to come back through the host (hairpin, localhost) is recognised by the connection's original
 * port, so that no bit of the packet mark is taken.
 *
 * @module
 */
import type { Nft } from "../nft/nft.ts";
import { NftTransaction } from "../nft/transaction.ts";
import type { Engine, Others } from "./engine.ts";
import { FAMILY, layoutOf, TABLE, typeOfSet } from "./nftables-layout.ts";
import { planNftForward, planNftMasquerade, planNftPublish } from "./nftables-plan.ts";
import { AT, addContent, addShared, declare, undeclare } from "./nftables-write.ts";
import { type Entry, sharedKey, sharedOf } from "./record.ts";

/** The engine on `nft`. */
export function nftablesEngine(nft: Nft): Engine {
  return {
    name: "nftables",
    planMasquerade: (_attachment, wish) => planNftMasquerade(wish),
    planPublish: planNftPublish,
    planForward: planNftForward,
    add(entries, others, lockFd) {
      return nft.run(addition(entries, others), { inheritFd: lockFd });
    },
    remove(entries, others, lockFd) {
      return nft.run(removal(entries, others), { inheritFd: lockFd });
    },
    async repair(wanted, drop, lockFd, gone) {
      const { reparation } = await import("./nftables-repair.ts");
      const { transaction, result } = reparation(await nft.list(FAMILY, TABLE), { wanted, drop, gone });
      await nft.run(transaction, { inheritFd: lockFd });
      return result;
    },
    async missing(entries) {
      const { missingFrom } = await import("./nftables-repair.ts");
      return missingFrom(await nft.list(FAMILY, TABLE), entries);
    },
  };
}

function addition(entries: readonly Entry[], others: Others): NftTransaction {
  const tx = new NftTransaction();
  for (const { part } of entries) {
    if (others.has(part)) continue;
    tx.addTable(FAMILY, TABLE);
    declare(tx, layoutOf(part), "create");
  }
  for (const shared of sharedOf(entries)) if (!others.shares(sharedKey(shared))) addShared(tx, shared);
  for (const entry of entries) addContent(tx, entry);
  return tx;
}

function removal(entries: readonly Entry[], others: Others): NftTransaction {
  const tx = new NftTransaction();
  if (!others.any) return tx.deleteTable(FAMILY, TABLE);
  const last = new Set(entries.map((entry) => entry.part).filter((part) => !others.has(part)));
  for (const part of last) undeclare(tx, layoutOf(part));
  for (const shared of sharedOf(entries)) {
    if (others.shares(sharedKey(shared))) continue;
    if (shared.adminChain !== undefined) tx.deleteChain({ ...AT, chain: shared.adminChain });
    if (last.has("forward")) continue;
    for (const { set, key } of shared.elements) tx.deleteElement({ ...AT, set, key, ...typeOfSet(set) });
  }
  for (const { part, content } of entries) {
    if (!last.has(part))
      for (const { set, key } of content.elements) tx.deleteElement({ ...AT, set, key, ...typeOfSet(set) });
    // A chain can go once nothing jumps to it: after its elements, or after the map that they are in.
    for (const { chain } of content.chains) tx.flushChain({ ...AT, chain }).deleteChain({ ...AT, chain });
  }
  return tx;
}
