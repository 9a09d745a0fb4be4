/**
 * Chains of nftables, whoever wrote them, that drop what shall be forwarded.
 *
 * Base chains of netfilter are asked one after the other, and a drop in any of them is final: an accept in another
 * table overrules nothing, so that whoever finds such a chain can only stop, or say what to add to it.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import type { Cidr } from "../net/cidr.ts";
import { contains, formatCidr, networkOf, parseCidr } from "../net/cidr.ts";
import type { Nft, NftBaseChain, NftChain, NftRule, NftTable } from "../nft/nft.ts";

/** What shall be forwarded. */
export interface Forwarded {
  /** Interfaces that it comes from and goes to. */
  readonly links: readonly string[];
  /** Networks that it comes from and goes to. */
  readonly networks: readonly Cidr[];
  /** Tables whose owner is told of it in another way. */
  readonly told?: readonly string[];
}

export interface DroppingChain {
  readonly chain: NftBaseChain;
  /** `policy drop`, `its rule of handle 5`. */
  readonly reason: string;
}

/**
 * The chains that drop it. Those of iptables-nft are left out, as the place for an accept there is iptables; so are
 * tables known to drop nothing of it, some of which are too long to be listed.
 */
export async function droppingChains(nft: Nft, forwarded: Forwarded): Promise<readonly DroppingChain[]> {
  const found: DroppingChain[] = [];
  for (const base of await baseChains(nft)) {
    if (!concerns(base, forwarded)) continue;
    const table = await nft.list(base.family, base.table);
    const chain = table?.chains.get(base.chain);
    if (table === undefined || chain === undefined || isTrusted(table, forwarded)) continue;
    const reason = dropReason(chain, forwarded);
    if (reason !== undefined) found.push({ chain: base, reason });
  }
  return found;
}

async function baseChains(nft: Nft): Promise<readonly NftBaseChain[]> {
  try {
    return await nft.baseChains();
  } catch (error) {
    if (isTsnetError(error, "kernel-lacks")) return [];
    throw error;
  }
}

function concerns({ family, table, chain, hook }: NftBaseChain, { networks, told }: Forwarded): boolean {
  if (told?.includes(table) === true) return false;
  if (hook.hook !== "forward" || hook.type !== "filter" || HARMLESS_TABLES.has(table)) return false;
  if (IPTABLES_TABLES.has(table) && chain === "FORWARD") return false;
  const wanted = (version: 4 | 6) => networks.some(({ address }) => address.family === version);
  return family === "inet" || (family === "ip" && wanted(4)) || (family === "ip6" && wanted(6));
}

/** The table of firewalld, whose zones are the place to let somebody through. */
export const FIREWALLD = "firewalld";

const IPTABLES_TABLES = new Set(["filter", "mangle", "security"]);
/** Ours, and those of service proxies, which drop what is for services that nobody serves. */
const HARMLESS_TABLES = new Set(["tsnet", "tsnet-isolation", "tsnet-proxy", "kube-proxy"]);

/**
 * Whether firewalld has it in a zone that accepts all. Its chains go by source or interface to the chain of a zone,
 * which tells by its last rule what becomes of the rest.
 */
function isTrusted({ table, chains }: NftTable, { links, networks }: Forwarded): boolean {
  if (table !== FIREWALLD) return false;
  const trusted = [...chains.values()]
    .filter(({ chain }) => /^filter_FORWARD(_IN)?_ZONES$/.test(chain))
    .flatMap(({ rules }) => rules)
    .filter(({ expressions }) => {
      const to = expressions.map((one) => child(child(one, "goto"), "target")).find((one) => one !== undefined);
      const last = typeof to === "string" ? chains.get(to)?.rules.at(-1)?.expressions : undefined;
      return last?.length === 1 && hasKey(last[0], "accept");
    })
    .flatMap(({ expressions }) => expressions.flatMap((one) => matchOf(one) ?? []));
  const byLink = trusted.some(
    ({ field, values }) => field === "iifname" && links.some((link) => values.includes(link)),
  );
  return (
    byLink || networks.every((cidr) => trusted.some(({ field, values }) => field === "saddr" && covers(values, cidr)))
  );
}

function covers(values: readonly string[], { address }: Cidr): boolean {
  return values
    .filter((value) => /^[0-9a-f.:]+(\/\d+)?$/.test(value))
    .some((value) => {
      const cidr = parseCidr(value.includes("/") ? value : `${value}/${value.includes(":") ? 128 : 32}`);
      return contains(cidr, address);
    });
}

/** Why a chain drops it; undefined if it does not, or accepts it before. */
function dropReason(chain: NftChain, forwarded: Forwarded): string | undefined {
  for (const rule of chain.rules) {
    if (accepts(rule, forwarded)) return undefined;
    if (drops(rule, forwarded)) return `its rule of handle ${rule.handle}`;
  }
  return chain.hook?.policy === "drop" ? "policy drop" : undefined;
}

/** Whether a rule accepts what comes from our links or networks, as those do that people are told to add. */
function accepts({ expressions }: NftRule, { links, networks }: Forwarded): boolean {
  if (!expressions.some((expression) => hasKey(expression, "accept"))) return false;
  return expressions.some((expression) => {
    const match = matchOf(expression);
    if (match === undefined || match.op === "!=") return false;
    if (match.field === "iifname" || match.field === "iif") return links.some((link) => match.values.includes(link));
    return match.field === "saddr" && networks.some((cidr) => match.values.includes(textOf(cidr)));
  });
}

/** Whether a rule drops or rejects without asking for anything that our packets may lack. */
function drops({ expressions }: NftRule, { links }: Forwarded): boolean {
  if (!expressions.some((expression) => hasKey(expression, "drop") || hasKey(expression, "reject"))) return false;
  return expressions.every((expression) => {
    const match = matchOf(expression);
    if (match === undefined) return !hasKey(expression, "match");
    if (match.field === "state") return match.values.includes("new");
    return match.op !== "!=" && LINK_FIELDS.has(match.field) && links.some((link) => match.values.includes(link));
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
