/**
 * The files of /etc by which a container knows itself and finds others: hosts, hostname, resolv.conf. Pure.
 *
 * @module
 */
import { parseAddress } from "../../lib/net/address.ts";
import { HOST_GATEWAY } from "../file/naming.ts";
import { RESOLVER } from "../names/address.ts";
import type { ContainerRecord } from "../state/records.ts";

export interface Naming {
  readonly hostname: string;
  /** Its own addresses, without prefix length; none on the host's network. */
  readonly addresses: readonly string[];
  /** The host's address on its first network; undefined where it has none. */
  readonly gateway: string | undefined;
  /** The mode of the network namespace that it is in. */
  readonly network: ContainerRecord["network"];
  /** Names and their addresses; `host-gateway` is the host's. */
  readonly extraHosts: Readonly<Record<string, string>>;
  /** Resolvers in place of the host's. */
  readonly dns: readonly string[];
  /** Domains in place of the host's. */
  readonly dnsSearch: readonly string[] | undefined;
}

/** hosts(5): localhost, its own name, the host's, and what else was wished. */
export function hostsText({ hostname, addresses, gateway, network, extraHosts }: Naming): string {
  const [short = hostname] = hostname.split(".");
  const names = short === hostname ? hostname : `${hostname} ${short}`;
  // Without an address of its own a name still has to lead to the container itself: Debian's way.
  const own = addresses.length === 0 ? ["127.0.1.1"] : addresses;
  return [
    "127.0.0.1 localhost",
    "::1 localhost ip6-localhost ip6-loopback",
    ...own.map((address) => `${address} ${names}`),
    ...(gateway === undefined ? [] : [`${gateway} host.tsnet.internal`]),
    ...Object.entries(extraHosts).flatMap(([name, address]) => {
      // On the host's network the host is where the container is.
      const target = address !== HOST_GATEWAY ? address : network === "host" ? "127.0.0.1" : gateway;
      return target === undefined ? [] : [`${target} ${name}`];
    }),
    "",
  ].join("\n");
}

/** The texts of the host's resolv.conf, and of the one that says whom its own resolver asks; empty without one. */
export interface HostResolv {
  readonly conf: string;
  readonly upstream: string;
}

/**
 * resolv.conf(5), or undefined where the host's is right as it is.
 *
 * A container that has networks asks our resolver, which asks those of the host or of its own choice. Names are
 * looked for as they are first (`ndots:0`), since ours have no dots.
 */
export function resolverText(naming: Naming, host: HostResolv): string | undefined {
  const { network, dns, dnsSearch } = naming;
  const search = searchLine(dnsSearch ?? domainsOf(host.conf));
  if (network === "bridge") return [`nameserver ${RESOLVER}`, ...search, "options ndots:0", ""].join("\n");
  const text = network === "host" ? host.conf : resolvText(host.conf, host.upstream);
  if (dns.length === 0 && dnsSearch === undefined) return network === "host" ? undefined : text;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const others = lines.filter((line) => !/^\s*(search|domain)\s/.test(line));
  const rest = dns.length === 0 ? others : others.filter((line) => !/^\s*nameserver\s/.test(line));
  return [...dns.map((address) => `nameserver ${address}`), ...search, ...rest, ""].join("\n");
}

/** The last line counts: resolv.conf(5). */
function domainsOf(conf: string): readonly string[] {
  const [, domains = ""] = [...conf.matchAll(/^\s*(?:search|domain)[ \t]+(.*)$/gm)].at(-1) ?? [];
  return domains.split(/\s+/).filter((domain) => domain !== "" && domain !== ".");
}

function searchLine(domains: readonly string[]): readonly string[] {
  return domains.length === 0 ? [] : [`search ${domains.join(" ")}`];
}

/**
 * resolv.conf(5) for a network namespace of its own: the host's, less resolvers on the host's loopback, which is
 * not the container's. Where none is left, `upstream` says whom the host's own resolver asks.
 */
function resolvText(host: string, upstream: string): string {
  const reachable = (text: string) =>
    text.split("\n").filter((line) => !isLoopback(/^\s*nameserver\s+(\S+)/.exec(line)?.[1]));
  const hasResolver = (lines: readonly string[]) => lines.some((line) => /^\s*nameserver\s/.test(line));
  const lines = reachable(host);
  const chosen = hasResolver(lines)
    ? lines
    : [...lines, ...reachable(upstream).filter((line) => /^\s*nameserver\s/.test(line))];
  return `${chosen.filter((line) => line.trim() !== "" && !/^\s*[#;]/.test(line)).join("\n")}\n`;
}

function isLoopback(text: string | undefined): boolean {
  if (text === undefined) return false;
  try {
    const { family, value } = parseAddress(text);
    return family === 4 ? value >> 24n === 127n : value === 1n;
  } catch {
    return false;
  }
}
