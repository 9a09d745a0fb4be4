/**
 * Sysctls of the interface that faces a container with published ports: set when the first port is published,
 * put back when the last one goes.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { type Address, addressBytes, type Family, parseAddress } from "../net/address.ts";
import { readIfThere, readSysctl, writeSysctl } from "../sys/files.ts";
import type { Entry } from "./record.ts";
import type { State } from "./state.ts";

/**
 * What lets connections from 127.0.0.1 cross to the containers at `addresses` (route_localnet), and their answers
 * come from an address that the host would look for elsewhere (rp_filter loose), which they do where a container
 * is on two networks. What was there before is recorded; the function that comes back makes the change, which may
 * be done only when the guard against what else comes in is in place.
 */
export function preparePaths(state: State, addresses: readonly Address[]): () => void {
  const wanted = new Map<string, string>();
  for (const link of addresses.flatMap((address) => linkTowards(address) ?? [])) {
    if (effective(link, "route_localnet") !== 1) wanted.set(key(link, "route_localnet"), "1");
    if (effective(link, "rp_filter") === 1) wanted.set(key(link, "rp_filter"), "2");
  }
  const before = new Map(state.sysctls());
  const fresh = [...wanted.keys()].filter((name) => !before.has(name));
  for (const name of fresh) before.set(name, readSysctl(name) ?? "0");
  if (fresh.length > 0) state.setSysctls(before);
  return () => {
    for (const [name, value] of wanted) writeSysctl(name, value);
  };
}

/**
 * Puts every sysctl back that {@link preparePaths} changed; interfaces that are gone took theirs along. Where the state
 * was wiped, 127.0.0.1 is closed towards the containers that had published ports: the guard goes with them.
 */
export function closePaths(state: State, containers: readonly Address[] = []): void {
  const before = new Map(state.sysctls());
  for (const link of containers.flatMap((address) => linkTowards(address) ?? [])) {
    if (!before.has(key(link, "route_localnet"))) before.set(key(link, "route_localnet"), "0");
  }
  for (const [name, value] of before) if (readSysctl(name) !== undefined) writeSysctl(name, value);
  if (before.size > 0) state.setSysctls(new Map());
}

/** @throws TsnetError `check-failed` if the host no longer forwards in a family that the entries need. */
export function ensureForwarding(families: readonly Family[]): void {
  for (const family of families) {
    const name = family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding";
    if (readSysctl(name) !== "0") continue;
    const dotted = name.replaceAll("/", ".");
    throw new TsnetError(
      `${dotted} is 0, so the host forwards nothing to or from containers; somebody turned it off: sysctl -w ${dotted}=1`,
      { code: "check-failed", op: "check forwarding" },
    );
  }
}

/** Whether the host forwards in all of `families` now. */
export function forwards(families: readonly Family[]): boolean {
  try {
    ensureForwarding(families);
    return true;
  } catch {
    return false;
  }
}

/** What of the sysctls of published ports is not as {@link preparePaths} left it. */
export function missingSysctls(state: State, entries: readonly Entry[]): readonly string[] {
  const links = new Set(
    entries
      .flatMap((entry) => entry.addresses.map((address) => parseAddress(address)))
      .map((address) => (address.family === 4 ? linkTowards(address) : undefined)),
  );
  const changed = state.sysctls();
  return [...links].flatMap((link) => {
    if (link === undefined || !changed.has(key(link, "route_localnet"))) return [];
    return effective(link, "route_localnet") === 1 ? [] : [`net.ipv4.conf.${link}.route_localnet=1`];
  });
}

/**
 * The interface that leads to an IPv4 address by the main table's longest prefix; undefined if only a default
 * route does. Read from /proc/net/route, which costs no netlink codecs.
 */
export function linkTowards(address: Address): string | undefined {
  if (address.family !== 4) return undefined;
  const wanted = Buffer.from(addressBytes(address)).readUInt32LE();
  let best: { link: string; bits: number } | undefined;
  for (const line of (readIfThere("/proc/thread-self/net/route") ?? "").split("\n").slice(1)) {
    const [link = "", destination = "", , flags = "", , , , mask = ""] = line.split("\t");
    const bits = bitsIn(Number.parseInt(mask, 16));
    // RTF_REJECT, linux/route.h
    if (bits === 0 || (Number.parseInt(flags, 16) & 0x200) !== 0) continue;
    if ((wanted & Number.parseInt(mask, 16)) >>> 0 !== Number.parseInt(destination, 16)) continue;
    if (best === undefined || bits > best.bits) best = { link, bits };
  }
  return best?.link;
}

/** For both sysctls the kernel takes the greater of the interface's value and `all`. */
function effective(link: string, name: string): number {
  return Math.max(Number(readSysctl(key(link, name)) ?? 0), Number(readSysctl(key("all", name)) ?? 0));
}

function key(link: string, name: string): string {
  return `net/ipv4/conf/${link}/${name}`;
}

function bitsIn(mask: number): number {
  return Number.isNaN(mask) ? 0 : mask.toString(2).replaceAll("0", "").length;
}
