/**
 * The host as a router, as far as a gateway on the bridge needs it.
 *
 * @module
 */
import type { Family } from "../net/address.ts";
import { namesIn, readSysctl, writeSysctl } from "../sys/files.ts";

const SWITCH = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const;

/** Turns forwarding on for `family` if it is off. It stays on: others may rely on it by the time that we leave. */
export function ensureForwarding(family: Family): void {
  if (isForwarding(family)) return;
  if (family === 6) keepRouterAdvertisements();
  writeSysctl(SWITCH[family], "1");
}

/** Whether the host forwards packets of `family`. */
export function isForwarding(family: Family): boolean {
  return readSysctl(SWITCH[family]) === "1";
}

/**
 * Has the host answer on a way that it would not route itself, on our bridge alone: strict reverse path
 * filtering (1) drops a container's packets where the route back is another. The kernel takes the higher of the
 * link's and `all`, and 2 is loose.
 */
export function ensureLooseReversePath(bridge: string): void {
  const key = `net/ipv4/conf/${bridge}/rp_filter`;
  if (readSysctl("net/ipv4/conf/all/rp_filter") === "1" || readSysctl(key) === "1") writeSysctl(key, "2");
}

/** A forwarding host ignores router advertisements, and with them loses its own default route, unless accept_ra is 2. */
function keepRouterAdvertisements(): void {
  for (const name of namesIn("/proc/sys/net/ipv6/conf")) {
    if (name === "all" || name === "default") continue;
    const key = `net/ipv6/conf/${name}/accept_ra`;
    if (readSysctl(key) === "1") writeSysctl(key, "2");
  }
}
