/**
 * The files of /etc by which a container knows itself and finds others: hosts, hostname, resolv.conf. Pure.
 *
 * @module
 */
import { parseAddress } from "../../lib/net/address.ts";

export interface Naming {
  readonly hostname: string;
  /** Its own addresses, without prefix length; none on the host's network. */
  readonly addresses: readonly string[];
  /** The host's address on its first network; undefined where it has none. */
  readonly gateway: string | undefined;
}

/** hosts(5): localhost, its own name, and the host's. */
export function hostsText({ hostname, addresses, gateway }: Naming): string {
  const [short = hostname] = hostname.split(".");
  const names = short === hostname ? hostname : `${hostname} ${short}`;
  // Without an address of its own a name still has to lead to the container itself: Debian's way.
  const own = addresses.length === 0 ? ["127.0.1.1"] : addresses;
  return [
    "127.0.0.1 localhost",
    "::1 localhost ip6-localhost ip6-loopback",
    ...own.map((address) => `${address} ${names}`),
    ...(gateway === undefined ? [] : [`${gateway} host.tsnet.internal`]),
    "",
  ].join("\n");
}

/**
 * resolv.conf(5) for a network namespace of its own: the host's, less resolvers on the host's loopback, which is
 * not the container's. Where none is left, `upstream` says whom the host's own resolver asks.
 */
export function resolvText(host: string, upstream: string): string {
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
