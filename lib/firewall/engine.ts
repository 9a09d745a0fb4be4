/**
 * What a rule engine does for the firewall: nftables, iptables-nft and iptables-legacy each are one. firewalld keeps
 * entries, too, but of one kind only.
 *
 * `add` and `remove` are optimistic: they send only what changes and trust the names on disk for the rest. Where
 * the kernel turns out otherwise they throw, and `repair` reads the kernel and makes it what the entries say.
 *
 * @module
 */
import type { Family } from "../net/address.ts";
import type { Content, EngineName, Entry, KeeperName } from "./record.ts";
import type { Attachment, ForwardWish, MasqueradeWish, Part, PublishWish } from "./types.ts";

/** Which entries the engine holds beside the ones that are being added or removed. */
export interface Others {
  readonly any: boolean;
  /** Whether one of `part` is there; with a family, one that has rules in it. */
  has(part: Part, family?: Family): boolean;
  /** Whether one is there that stands on what {@link sharedKey} names; with a family, one that has rules in it. */
  shares(key: string, family?: Family): boolean;
}

/** Says which rules that no entry tells of are to go: by their tag and the part that they are in. */
export type Drop = (tag: string, part: Part) => boolean;

export interface RepairResult {
  /** Whether rules of ours remain that no entry tells of. */
  readonly orphans: boolean;
  /** Whether rules of the administrator's remain in a place of ours, which others must not take away. */
  readonly adminRules?: boolean;
  /** Addresses of containers whose rules were dropped. */
  readonly dropped: readonly string[];
}

export interface Keeper {
  readonly name: KeeperName;

  /**
   * Adds the rules of `entries`, and what carries them where they are the first.
   *
   * @throws TsnetError `exists`, `not-found` or `conflict` where the kernel holds something else than expected.
   */
  add(entries: readonly Entry[], others: Others, lockFd: number): Promise<void>;

  /** Removes the rules of `entries`, and what carries them where they were the last. @throws TsnetError `not-found`. */
  remove(entries: readonly Entry[], others: Others, lockFd: number): Promise<void>;

  /**
   * Makes the kernel hold the rules of `wanted`; those of others stay unless `drop` names them. Changes nothing
   * where all is well. `gone` are the entries that are known of what goes.
   *
   * @throws TsnetError `conflict` if somebody whom no entry tells of has a host port of `wanted`.
   */
  repair(wanted: readonly Entry[], drop: Drop, lockFd: number, gone: readonly Entry[]): Promise<RepairResult>;

  /** What of `entries` the kernel does not hold, in the words of the engine. */
  missing(entries: readonly Entry[]): Promise<readonly string[]>;
}

export interface Engine extends Keeper {
  readonly name: EngineName;
  planMasquerade(attachment: Attachment, wish: MasqueradeWish): Content;
  planPublish(attachment: Attachment, wish: PublishWish): Content;
  planForward(wish: ForwardWish): Content;
}
