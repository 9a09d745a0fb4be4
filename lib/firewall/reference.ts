/**
 * What the reference plugins (containernetworking/plugins 1.9) leave in the packet filter, by their names: people
 * switch plugins under running containers, and our DEL and GC are then the only ones that come.
 *
 * Their chains are named by a hash of network and container, their rules carry both in the comment. What is shared
 * by all their containers goes with the last of them.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import type { IptablesVariant, SavedRule, SavedTable } from "../iptables/iptables.ts";
import { IptablesTransaction } from "../iptables/transaction.ts";
import type { Family } from "../net/address.ts";
import type { Nft, NftTable } from "../nft/nft.ts";
import { type NftTableName, NftTransaction } from "../nft/transaction.ts";
import type { EngineName } from "./record.ts";
import { removeReferenceForward } from "./reference-forward.ts";
import type { Scope } from "./sweep.ts";
import type { Tools } from "./tools.ts";
import type { Attachment } from "./types.ts";

type Saved = ReadonlyMap<string, SavedTable>;

/** Removes from an engine what the reference plugins left of the attachments in scope. */
export async function removeReference(
  engine: EngineName,
  tools: Tools,
  tables: readonly NftTableName[] | undefined,
  scope: Scope,
): Promise<void> {
  if (engine === "nftables") await removeFromNft(await tools.nft(), tables ?? [], scope);
  else await removeFromIptables(engine === "iptables-nft" ? "nft" : "legacy", tools, scope);
}

/** Rules of theirs that stay in a table make the table stay. */
async function removeFromNft(nft: Nft, tables: readonly NftTableName[], scope: Scope): Promise<void> {
  for (const { family, table } of tables) {
    const own = NFT_TABLES.find((one) => one.table === table && one.families.includes(family));
    if (own === undefined || !scope.parts.includes(own.part)) continue;
    const found = await nft.list(family, table);
    if (found === undefined) continue;
    const rules = own.chains.flatMap((chain) =>
      (found.chains.get(chain)?.rules ?? []).map((rule) => ({ chain, ...rule })),
    );
    const gone = rules.filter((rule) => own.matches(rule.comment ?? "", scope));
    const tx = new NftTransaction();
    if (gone.length === 0) continue;
    if (gone.length === rules.length) tx.deleteTable(family, table);
    else for (const { chain, handle } of gone) tx.deleteRule({ family, table, chain, handle });
    await nft.run(tx);
  }
}

interface ReferenceTable {
  readonly part: "masquerade" | "publish";
  readonly table: string;
  readonly families: readonly NftTable["family"][];
  /** The chains that hold a container's rules. */
  readonly chains: readonly string[];
  readonly matches: (comment: string, scope: Scope) => boolean;
}

const NFT_TABLES: readonly ReferenceTable[] = [
  {
    part: "masquerade",
    table: "cni_plugins_masquerade",
    families: ["inet"],
    chains: ["masq_checks"],
    matches(comment, scope) {
      const tag = ({ network, containerId, ifname }: Attachment) =>
        `${hash(network, 16)}-${hash(`${ifname}:${containerId}`, 16)}`;
      if ("attachment" in scope) return comment.startsWith(tag(scope.attachment));
      const ofNetwork = comment.startsWith(`${hash(scope.network, 16)}-`);
      return ofNetwork && !scope.keep.some((one) => comment.startsWith(tag(one)));
    },
  },
  {
    part: "publish",
    table: "cni_hostport",
    families: ["ip", "ip6"],
    chains: ["hostports", "hostip_hostports", "masquerading"],
    // The comment is the container's id alone: GC, which goes by network, cannot tell whose it is.
    matches: (comment, scope) => "attachment" in scope && comment === scope.attachment.containerId,
  },
];

async function removeFromIptables(variant: IptablesVariant, tools: Tools, scope: Scope): Promise<void> {
  const iptables = await tools.iptables(variant);
  await Promise.all(
    ([4, 6] as const).map(async (family: Family) => {
      try {
        await iptables.run(family, removalFrom(await iptables.save(family), scope));
      } catch (error) {
        // A family whose program is missing has no rules of theirs either.
        if (!isTsnetError(error, "not-found", "kernel-lacks")) throw error;
      }
    }),
  );
}

function removalFrom(saved: Saved, scope: Scope): IptablesTransaction {
  const tx = new IptablesTransaction();
  const chains = chainsOf(saved);
  const masquerade = scope.parts.includes("masquerade") ? masqueradeChains(saved, scope) : [];
  const publish = scope.parts.includes("publish") ? publishChains(saved, scope) : [];
  const left = (chains.get("CNI-HOSTPORT-DNAT") ?? []).filter((rule) => !publish.includes(targetOf(rule)));
  const shared = publish.length > 0 && left.length === 0 ? SHARED.filter((chain) => chains.has(chain)) : [];
  const gone = new Set([...masquerade, ...publish, ...shared]);
  for (const [chain, rules] of chains) {
    if (gone.has(chain)) continue;
    for (const rule of rules) if (gone.has(targetOf(rule))) tx.delete("nat", chain, rule.text);
  }
  for (const chain of gone) tx.flushChain("nat", chain);
  for (const chain of gone) tx.deleteChain("nat", chain);
  removeReferenceForward(tx, saved, scope);
  return tx;
}

/** What their portmap makes once for all containers. */
const SHARED = ["CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK"];

/** Their masquerading knows no interface name: a container has one chain for all of them. */
function masqueradeChains(saved: Saved, scope: Scope): readonly string[] {
  const chains = chainsOf(saved);
  if ("attachment" in scope) {
    const { network, containerId } = scope.attachment;
    return [`CNI-${hash(network + containerId, 24)}`].filter((chain) => chains.has(chain));
  }
  return targetsOfGone(chains.get("POSTROUTING") ?? [], scope, /^name: "(.*)" id: "(.*)"$/);
}

function publishChains(saved: Saved, scope: Scope): readonly string[] {
  const chains = chainsOf(saved);
  if ("attachment" in scope) {
    const { network, containerId } = scope.attachment;
    const name = hash(network + containerId, 21);
    return [`CNI-DN-${name}`, `CNI-SN-${name}`].filter((chain) => chains.has(chain));
  }
  return targetsOfGone(chains.get("CNI-HOSTPORT-DNAT") ?? [], scope, /^dnat name: "(.*)" id: "(.*)"$/);
}

function targetsOfGone(
  rules: readonly SavedRule[],
  { network, keep }: { readonly network: string; readonly keep: readonly Attachment[] },
  comment: RegExp,
): readonly string[] {
  return rules.flatMap((rule) => {
    const match = comment.exec(rule.comment ?? "");
    if (match === null || match[1] !== network || keep.some((one) => one.containerId === match[2])) return [];
    return [targetOf(rule)];
  });
}

function chainsOf(saved: Saved): ReadonlyMap<string, readonly SavedRule[]> {
  return new Map([...(saved.get("nat")?.chains ?? [])].map(([chain, { rules }]) => [chain, rules]));
}

function targetOf({ words }: SavedRule): string {
  return words[words.indexOf("-j") + 1] ?? "";
}

/** The reference's way of naming: SHA-512 in hexadecimal, cut. */
function hash(text: string, length: number): string {
  return new Bun.CryptoHasher("sha512").update(text).digest("hex").slice(0, length);
}
