/**
 * Wishes as rules in our iptables chains. Pure.
 *
 * Rules are written as iptables-save prints them, so that what is there can be compared with what is wanted.
 *
 * @module
 */
import { bitsOf, type Family, formatAddress } from "../net/address.ts";
import { formatCidr, networkOf } from "../net/cidr.ts";
import { CONTAINERS, WALLED, WALLS } from "./iptables-layout.ts";
import { type Content, type IptablesRule, type OwnChain, type Shared, tagOf } from "./record.ts";
import { type Redirect, redirectsOf } from "./redirect.ts";
import type { AcceptWish, Attachment, ForwardWish, MasqueradeWish, PublishWish } from "./types.ts";

/** Rules that masquerade what leaves the container's addresses for beyond their subnets. */
export function planIptMasquerade(wish: MasqueradeWish): Content {
  const rules = wish.addresses.map((cidr): IptablesRule => {
    const { family } = cidr.address;
    const source = host(formatAddress(cidr.address), family);
    const rule = `-s ${source} ! -d ${formatCidr(networkOf(cidr))} -j MASQUERADE`;
    return { family, table: "nat", chain: "TSNET-MASQUERADE", rule };
  });
  return { elements: [], rules, chains: [] };
}

/** Rules that lead host ports to the container. With conditions of the user's they are in a chain behind them. */
export function planIptPublish(attachment: Attachment, wish: PublishWish): Content {
  const redirects = redirectsOf(wish);
  const rules: IptablesRule[] = [];
  const chains: OwnChain[] = [];
  for (const family of [4, 6] as const) {
    const own = redirects.filter((redirect) => redirect.family === family);
    if (own.length === 0) continue;
    const conditions = (family === 4 ? wish.conditionsV4 : wish.conditionsV6) ?? [];
    const wanted = own.flatMap((redirect) => redirectRules(wish, redirect));
    if (conditions.length === 0) {
      rules.push(...wanted.map((rule): IptablesRule => ({ family, table: "nat", chain: "TSNET-DNAT", rule })));
    } else {
      const chain = ownChainName(attachment);
      chains.push({ family, chain, rules: wanted });
      rules.push(...conditionalJumps(family, own, conditions, chain));
    }
    rules.push(...hairpinRules(wish, own));
  }
  return { elements: [], rules, chains };
}

/** Rules that accept forwarding from the addresses, and to them what answers or was led there. */
export function planIptAccept(wish: AcceptWish): Content {
  const rules = wish.addresses.flatMap((cidr): IptablesRule[] => {
    const { family } = cidr.address;
    const at = { family, table: "filter", chain: "TSNET-FORWARD" } as const;
    const who = formatCidr(networkOf(cidr));
    const which = wish.inbound === true ? "" : "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT ";
    return [
      { ...at, rule: `-s ${who} -i ${wish.link} -j ACCEPT` },
      { ...at, rule: `-d ${who} -o ${wish.link} ${which}-j ACCEPT` },
    ];
  });
  return { elements: [], rules, chains: [] };
}

/**
 * Rules that accept what the container sends, what answers it and what was led to it. With `acceptOnly` neither
 * the administrator is asked nor walls are built: that is done elsewhere.
 */
export function planIptForward(wish: ForwardWish, acceptOnly = false): Content {
  const rules = wish.addresses.flatMap(({ address }): IptablesRule[] => {
    const { family } = address;
    const at = { family, table: "filter", chain: CONTAINERS } as const;
    const who = host(formatAddress(address), family);
    return [
      { ...at, rule: `-d ${who} -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT` },
      { ...at, rule: `-s ${who} -j ACCEPT` },
    ];
  });
  const families = new Set(wish.addresses.map(({ address }) => address.family));
  const shared = acceptOnly
    ? []
    : sharedOf(
        wish,
        ([4, 6] as const).filter((family) => families.has(family)),
      );
  return { elements: [], rules, chains: [], shared };
}

/** In the order of the reference: from bridge to bridge, whatever state the connection is in. */
function sharedOf({ adminChain, links, ingress }: ForwardWish, families: readonly Family[]): readonly Shared[] {
  const rulesOf = (name: string, rules: readonly Pick<IptablesRule, "chain" | "rule">[]): Shared => ({
    name,
    elements: [],
    rules: families.flatMap((family) => rules.map((rule) => ({ family, table: "filter", ...rule }) as const)),
  });
  const walls = links.map((link) =>
    rulesOf(`walls around ${link}`, [
      { chain: WALLS, rule: `-i ${link} ! -o ${link} -j ${WALLED}` },
      { chain: WALLED, rule: `-o ${link} -j DROP` },
    ]),
  );
  const within = links.map((link) =>
    rulesOf(`walls inside ${link}`, [{ chain: WALLS, rule: `-i ${link} -o ${link} -j DROP` }]),
  );
  return [
    { ...rulesOf(`admin chain ${adminChain}`, [{ chain: CONTAINERS, rule: `-j ${adminChain}` }]), adminChain },
    ...(ingress === "open" ? [] : walls),
    ...(ingress === "isolated" ? within : []),
  ];
}

/** The chain of an attachment's conditions. 28 characters are the most that iptables takes. */
export function ownChainName(attachment: Attachment): string {
  return `${OWN_CHAIN}${tagOf(attachment).slice(-16)}`;
}

export const OWN_CHAIN = "TSNET-IF-";

/** What marks for masquerading comes before the redirection, after which nothing else is looked at. */
function redirectRules(wish: PublishWish, redirect: Redirect): readonly string[] {
  const { family, protocol, hostPort, hostIp, target, targetPort } = redirect;
  const bound = hostIp === undefined ? "" : `-d ${host(hostIp, family)} `;
  const port = `-p ${protocol} -m ${protocol} --dport ${hostPort}`;
  const marks = redirect.masqueraded.map((source) => {
    const from = source.endsWith("/0") ? "" : `-s ${source.includes("/") ? source : host(source, family)} `;
    return `${from}${bound}${port} -j ${markTarget(wish)}`;
  });
  const to = family === 4 ? `${target}:${targetPort}` : `[${target}]:${targetPort}`;
  return [...marks, `${bound}${port} -j DNAT --to-destination ${to}`];
}

function markTarget(wish: PublishWish): string {
  return wish.externalSetMarkChain ?? `MARK --set-xmark ${markText(wish)}`;
}

/** Somebody else's chain that marks is somebody else's to masquerade for. */
function hairpinRules(wish: PublishWish, redirects: readonly Redirect[]): readonly IptablesRule[] {
  if (!wish.snat || wish.externalSetMarkChain !== undefined) return [];
  const targets = new Map(redirects.map(({ family, target }) => [target, family]));
  return [...targets].map(([target, family]) => ({
    family,
    table: "nat",
    chain: "TSNET-HAIRPIN",
    rule: `-d ${host(target, family)} -m mark --mark ${markText(wish)} -j MASQUERADE`,
  }));
}

function conditionalJumps(
  family: Family,
  redirects: readonly Redirect[],
  conditions: readonly string[],
  chain: string,
): readonly IptablesRule[] {
  const words = conditions.map(quote).join(" ");
  const ports = new Set(redirects.map(({ protocol, hostPort }) => `-p ${protocol} -m ${protocol} --dport ${hostPort}`));
  return [...ports].map((port) => ({
    family,
    table: "nat",
    chain: "TSNET-DNAT",
    rule: `${port} ${words} -j ${chain}`,
  }));
}

function markText(wish: PublishWish): string {
  const mark = `0x${(2 ** wish.markMasqBit).toString(16)}`;
  return `${mark}/${mark}`;
}

function host(address: string, family: Family): string {
  return `${address}/${bitsOf(family)}`;
}

function quote(word: string): string {
  return /^[^\s"'\\]+$/.test(word) ? word : `"${word.replace(/["\\]/g, "\\$&")}"`;
}
