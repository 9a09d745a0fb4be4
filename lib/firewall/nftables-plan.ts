/**
 * Wishes as elements of our nftables table. Pure.
 *
 * @module
 */
import { formatAddress } from "../net/address.ts";
import { type Content, type Element, type OwnChain, type Shared, tagOf } from "./record.ts";
import { type Redirect, redirectsOf, subnetText } from "./redirect.ts";
import type { Attachment, ForwardWish, MasqueradeWish, PublishWish } from "./types.ts";

/** Elements that masquerade what leaves the container's addresses for beyond their subnets. */
export function planNftMasquerade(wish: MasqueradeWish): Content {
  const elements = wish.addresses.flatMap((cidr): Element[] => {
    const address = formatAddress(cidr.address);
    const { family } = cidr.address;
    return [
      { set: `masquerade${family}`, key: address },
      { set: `own${family}`, key: `${address} . ${subnetText(cidr)}` },
    ];
  });
  return { elements: unique(elements), rules: [], chains: [] };
}

/** Elements that lead host ports to the container; with conditions of the user's, a chain that holds them. */
export function planNftPublish(attachment: Attachment, wish: PublishWish): Content {
  const redirects = redirectsOf(wish);
  const elements = redirects.flatMap((redirect): Element[] => {
    return [redirectElement(attachment, wish, redirect), ...hairpinElements(redirect)];
  });
  const chains = ([4, 6] as const).flatMap((family): OwnChain[] => {
    const conditions = conditionsOf(wish, family);
    const own = redirects.filter((redirect) => redirect.family === family);
    if (conditions === "" || own.length === 0) return [];
    const rules = own.map((redirect) => `${conditions} ${redirectRule(redirect)}`);
    return [{ family, chain: ownChainName(attachment, family), rules }];
  });
  return { elements: unique(elements), rules: [], chains };
}

/** One element an address; walls and the administrator's chain are shared. */
export function planNftForward({ addresses, links, ingress, adminChain }: ForwardWish): Content {
  const elements = addresses.map(({ address }) => ({ set: `forward${address.family}`, key: formatAddress(address) }));
  const walls = links.flatMap((link): Shared[] => {
    const pair = `"${link}" . "${link}"`;
    const around = [
      { set: "walled", key: `"${link}"` },
      { set: "within", key: pair },
    ];
    const inside = [{ set: "isolated", key: pair }];
    return [
      ...(ingress === "open" ? [] : [{ name: `walls around ${link}`, elements: around, rules: [] }]),
      ...(ingress === "isolated" ? [{ name: `walls inside ${link}`, elements: inside, rules: [] }] : []),
    ];
  });
  const admin = { name: `admin chain ${adminChain}`, adminChain, elements: [], rules: [] };
  return { elements: unique(elements), rules: [], chains: [], shared: [admin, ...walls] };
}

/** The chain of an attachment's conditions: its name tells whose it is. */
export function ownChainName(attachment: Attachment, family: 4 | 6): string {
  return `if-${tagOf(attachment)}-${family}`;
}

/** The tag in the name of such a chain. */
export function tagOfOwnChain(chain: string): string | undefined {
  return /^if-([0-9a-f]{8}\.[0-9a-f]{16})-[46]$/.exec(chain)?.[1];
}

function redirectElement(attachment: Attachment, wish: PublishWish, redirect: Redirect): Element {
  const { family, protocol, hostPort, hostIp, target, targetPort } = redirect;
  const any = `${protocol} . ${hostPort}`;
  if (conditionsOf(wish, family) !== "") {
    return { set: `conditional${family}`, key: any, value: `jump ${ownChainName(attachment, family)}` };
  }
  const value = `${target} . ${targetPort}`;
  if (hostIp === undefined) return { set: `publish${family}-any`, key: any, value };
  return { set: `publish${family}`, key: `${hostIp} . ${any}`, value };
}

/** What is masqueraded from the container's subnet is so from 127.0.0.1, too. */
function hairpinElements({ family, protocol, hostPort, target, masqueraded }: Redirect): readonly Element[] {
  const key = `${target} . ${protocol} . ${hostPort}`;
  const [subnet] = masqueraded;
  if (subnet === undefined) return [];
  if (subnet.endsWith("/0")) return [{ set: `hairpin${family}-all`, key }];
  return [
    { set: `hairpin${family}`, key },
    { set: `near${family}`, key: `${subnet} . ${target}` },
  ];
}

function redirectRule({ family, protocol, hostPort, hostIp, target, targetPort }: Redirect): string {
  const ip = family === 4 ? "ip" : "ip6";
  const bound = hostIp === undefined ? "" : `${ip} daddr ${hostIp} `;
  const to = family === 4 ? `${target}:${targetPort}` : `[${target}]:${targetPort}`;
  return `${bound}${protocol} dport ${hostPort} dnat ${ip} to ${to}`;
}

function conditionsOf(wish: PublishWish, family: 4 | 6): string {
  return ((family === 4 ? wish.conditionsV4 : wish.conditionsV6) ?? []).join(" ").trim();
}

/** Two host addresses of one port give the same hairpin. */
function unique(elements: readonly Element[]): readonly Element[] {
  return [...new Map(elements.map((element) => [`${element.set} ${element.key}`, element])).values()];
}
