/**
 * What may be said of a network, the same in a file and on a command line. Pure.
 *
 * @module
 */
import { type Address, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, formatCidr, networkOf, parseCidr, sameCidr } from "../../lib/net/cidr.ts";
import type { NetworkRoute } from "./project.ts";

/** Names that stand for doing without a network. */
const MODES: readonly string[] = ["host", "none"];

/** What a bridge may be called, for messages. */
export const LINK_NAME_FORM = 'an interface name of letters, digits, ".", "_" and "-", at most 15 of them';

/**
 * Whether a bridge may be called so. The kernel takes more, but packet filters read it otherwise: to iptables a "+" at
 * the end is any ending, so that rules for `eth+` would be about every interface eth0, eth1 and so on.
 */
export function isLinkName(text: string): boolean {
  return /^(?!-|\.\.?$)[a-zA-Z0-9._-]{1,15}$/.test(text);
}

/** What a route may look like, for messages. */
export const ROUTE_FORM = 'SUBNET or "SUBNET via ADDRESS", such as "10.20.0.0/16 via 10.88.1.5"';

/** Reads `10.20.0.0/16`, `10.20.0.0/16 via 10.88.1.5` or, as podman has it, `10.20.0.0/16,10.88.1.5`. */
export function parseRoute(text: string): NetworkRoute | undefined {
  const [matched, dst = "", via] = /^(\S+?)(?:(?:\s+via\s+|,\s*)(\S+))?$/.exec(text.trim()) ?? [];
  if (matched === undefined) return undefined;
  return { dst: parseCidr(dst), ...(via === undefined ? {} : { via: parseAddress(via) }) };
}

/** `10.20.0.0/16 via 10.88.1.5`. */
export function formatRoute({ dst, via }: { readonly dst: string; readonly via?: string }): string {
  return via === undefined ? dst : `${dst} via ${via}`;
}

/** `NAME=VALUE`, or `NAME` alone. */
export function parseLabel(text: string): readonly [name: string, value: string] {
  const at = text.indexOf("=");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** Why there cannot be a network of that name, or undefined. */
export function whyNotName(name: string): string | undefined {
  return MODES.includes(name) ? `"${name}" is no network: give the container network: ${name}` : undefined;
}

/** Why `driver` cannot be had, or undefined. */
export function whyNotDriver(driver: string): string | undefined {
  if (driver === "bridge") return undefined;
  if (MODES.includes(driver) || driver === "null")
    return `found "${driver}", which needs no network: give the container network: ${driver === "null" ? "none" : driver}`;
  return `found "${driver}", allowed is bridge; a network over many hosts is made by tsnet overlay`;
}

/** Why a network cannot have the subnet, or undefined. */
export function whyNotSubnet(cidr: Cidr): string | undefined {
  const longest = cidr.address.family === 4 ? 30 : 126;
  if (!sameCidr(cidr, networkOf(cidr))) return withHostBits(cidr);
  if (cidr.prefix > longest) return `found ${formatCidr(cidr)}, which has no room for a container: at most /${longest}`;
  return undefined;
}

/** Why addresses cannot be taken from `range` on a network of these subnets, or undefined. */
export function whyNotRange(range: Cidr, subnets: readonly (Cidr | undefined)[]): string | undefined {
  const text = formatCidr(range);
  if (!sameCidr(range, networkOf(range))) return withHostBits(range);
  const within = subnets.find((subnet) => subnet !== undefined && subnet.address.family === range.address.family);
  if (within === undefined) return `found ${text}: give the network the subnet that this is a part of`;
  if (range.prefix >= within.prefix && contains(within, range.address)) return undefined;
  return `found ${text}, which is not a part of ${formatCidr(within)}`;
}

/** Why a network of these subnets cannot have the route, or undefined. `auto` is one that is chosen later. */
export function whyNotRoute(
  { dst, via }: NetworkRoute,
  subnets: readonly (Cidr | "auto" | undefined)[],
): string | undefined {
  if (!sameCidr(dst, networkOf(dst))) return withHostBits(dst);
  if (via === undefined) return undefined;
  if (via.family !== dst.address.family) return `found ${formatCidr(dst)} via ${formatAddress(via)}, of another family`;
  const reachable = subnets.some((subnet) => subnet !== undefined && subnet !== "auto" && contains(subnet, via));
  return reachable
    ? undefined
    : `found ${formatAddress(via)}, which is on no subnet that the network is given: ${listed(subnets, via)}`;
}

function listed(subnets: readonly (Cidr | "auto" | undefined)[], { family }: Address): string {
  const there = subnets.flatMap((one) => (one === undefined || one === "auto" ? [] : [formatCidr(one)]));
  const key = family === 4 ? "a subnet" : "an IPv6 subnet";
  return there.length === 0 ? `give it ${key} that it is on` : `it has ${there.join(" and ")}`;
}

function withHostBits(cidr: Cidr): string {
  return `found ${formatCidr(cidr)}, which has host bits set: write ${formatCidr(networkOf(cidr))}`;
}
