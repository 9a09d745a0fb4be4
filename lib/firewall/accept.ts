/**
 * Accepting what is forwarded to and from containers, on a host whose own rules drop what they do not know.
 *
 * Base chains of netfilter are asked one after the other, and a drop in any of them is final: an accept in a table
 * of ours overrules nothing. So it goes to where the drop is, first in FORWARD of whichever iptables holds rules,
 * whatever our own back end is. A chain that somebody wrote in nftables is not ours to change: there we stop, and
 * say what to add.
 *
 * @module
 */
import { isTsnetError, TsnetError } from "../errors.ts";
import type { Cidr } from "../net/cidr.ts";
import { formatCidr, networkOf } from "../net/cidr.ts";
import type { Nft, NftBaseChain, NftChain, NftRule } from "../nft/nft.ts";
import type { FirewallHost } from "./host.ts";
import { planIptAccept } from "./iptables-plan.ts";
import { TABLE } from "./nftables-layout.ts";
import { toEntry } from "./plan.ts";
import type { Entry } from "./record.ts";
import type { AcceptWish, Attachment } from "./types.ts";

/**
 * The entries that a wish means on this host; none where no iptables holds a rule, and so nothing drops.
 *
 * @throws TsnetError `conflict` if a base chain of nftables drops what is wished, with the rules to add to it.
 */
export async function planAccept(
  host: FirewallHost,
  attachment: Attachment,
  wish: AcceptWish,
): Promise<readonly Entry[]> {
  await refuseForeignDrops(host, wish);
  const { holdRules } = await host.tools.surveyVariants();
  const content = planIptAccept(wish);
  return holdRules.map((variant) => ({
    ...toEntry(`iptables-${variant}`, attachment, "accept", wish.addresses, content),
    addresses: [],
  }));
}

async function refuseForeignDrops(host: FirewallHost, wish: AcceptWish): Promise<void> {
  if (!host.tools.hasNft()) return;
  const nft = await host.tools.nft();
  for (const base of await baseChains(nft)) {
    if (!concerns(base, wish)) continue;
    const table = await nft.list(base.family, base.table);
    const chain = table?.chains.get(base.chain);
    const reason = chain === undefined ? undefined : dropReason(chain, wish);
    if (reason !== undefined) throw refusal(base, wish, reason);
  }
}

async function baseChains(nft: Nft): Promise<readonly NftBaseChain[]> {
  try {
    return await nft.baseChains();
  } catch (error) {
    if (isTsnetError(error, "kernel-lacks")) return [];
    throw error;
  }
}

/** Chains of iptables-nft are left out: there our own accept comes first. */
function concerns({ family, table, chain, hook }: NftBaseChain, wish: AcceptWish): boolean {
  if (hook.hook !== "forward" || hook.type !== "filter" || table === TABLE) return false;
  if (IPTABLES_TABLES.has(table) && chain === "FORWARD") return false;
  const wanted = (version: 4 | 6) => wish.addresses.some(({ address }) => address.family === version);
  return family === "inet" || (family === "ip" && wanted(4)) || (family === "ip6" && wanted(6));
}

const IPTABLES_TABLES = new Set(["filter", "mangle", "security"]);

/** Why a chain drops what the wish is about; undefined if it does not, or accepts it before. */
function dropReason(chain: NftChain, wish: AcceptWish): string | undefined {
  for (const rule of chain.rules) {
    if (accepts(rule, wish)) return undefined;
    if (drops(rule, wish)) return `its rule of handle ${rule.handle}`;
  }
  return chain.hook?.policy === "drop" ? "policy drop" : undefined;
}

/** Whether a rule accepts what comes from our link or addresses, as the one that the error says to add does. */
function accepts({ expressions }: NftRule, wish: AcceptWish): boolean {
  if (!expressions.some((expression) => hasKey(expression, "accept"))) return false;
  return expressions.some((expression) => {
    const match = matchOf(expression);
    if (match === undefined || match.op === "!=") return false;
    if (match.field === "iifname" || match.field === "iif") return match.values.includes(wish.link);
    return match.field === "saddr" && wish.addresses.some((cidr) => match.values.includes(textOf(cidr)));
  });
}

/** Whether a rule drops or rejects without asking for anything that our packets may lack. */
function drops({ expressions }: NftRule, wish: AcceptWish): boolean {
  if (!expressions.some((expression) => hasKey(expression, "drop") || hasKey(expression, "reject"))) return false;
  return expressions.every((expression) => {
    const match = matchOf(expression);
    if (match === undefined) return !hasKey(expression, "match");
    if (match.field === "state") return match.values.includes("new");
    return match.op !== "!=" && LINK_FIELDS.has(match.field) && match.values.includes(wish.link);
  });
}

const LINK_FIELDS = new Set(["iifname", "oifname", "iif", "oif"]);

interface Match {
  readonly op: string;
  /** The key of meta or ct, or the field of a header. */
  readonly field: string;
  readonly values: readonly string[];
}

/** Reads a match of libnftables-json(5) as far as it is about a link, an address or a state. */
function matchOf(expression: unknown): Match | undefined {
  const match = child(expression, "match");
  const left = child(match, "left");
  const field =
    child(child(left, "meta"), "key") ?? child(child(left, "ct"), "key") ?? child(child(left, "payload"), "field");
  const op = child(match, "op");
  if (typeof field !== "string" || typeof op !== "string") return undefined;
  return { op, field, values: valuesOf(child(match, "right")) };
}

function valuesOf(right: unknown): readonly string[] {
  const set = child(right, "set") ?? right;
  return (Array.isArray(set) ? set : [set]).map((value: unknown) => {
    const prefix = child(value, "prefix");
    return prefix === undefined ? String(value) : `${String(child(prefix, "addr"))}/${String(child(prefix, "len"))}`;
  });
}

function child(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
}

function hasKey(value: unknown, key: string): boolean {
  return typeof value === "object" && value !== null && key in value;
}

function textOf(cidr: Cidr): string {
  return formatCidr(networkOf(cidr)).replace(/\/(32|128)$/, "");
}

function refusal({ family, table, chain }: NftBaseChain, { link }: AcceptWish, reason: string): TsnetError {
  const insert = `nft insert rule ${family} ${table} ${chain}`;
  return new TsnetError(
    `nftables chain ${family} ${table} ${chain} drops what is forwarded to and from ${link} (${reason}), and no other table can overrule it; add to it: ${insert} iifname "${link}" accept; ${insert} oifname "${link}" ct state established,related accept; ${insert} oifname "${link}" ct status dnat accept`,
    { code: "conflict", op: "accept forwarding" },
  );
}
