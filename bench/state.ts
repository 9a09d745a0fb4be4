/**
 * What has to hold when a call has returned. A measurement counts only if it does, for either side.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { namesIn, readIfThere, readSysctl } from "../lib/sys/files.ts";
import { inside, type Netns } from "../lib/sys/netns.ts";
import type { Container, Side } from "./call.ts";
import { ok, STORE } from "./world.ts";

/** Everything that a DEL has to put back. */
export interface HostState {
  readonly rules: string;
  readonly links: string;
  readonly files: string;
}

export async function readHost(): Promise<HostState> {
  const rules = Object.values(await readRules()).join("\n");
  return {
    rules,
    links: linksHere().join("\n"),
    files: [...filesUnder(STORE), ...filesUnder("/run/tsnet")].join("\n"),
  };
}

/** The rules as each tool tells them, without counters and comments. */
export async function readRules() {
  const [ip4, ip6, nft] = await Promise.all([
    ok("iptables-save"),
    ok("ip6tables-save"),
    ok("nft", "-s", "list", "ruleset"),
  ]);
  const iptables = `${ip4}${ip6}`.replaceAll(/^#.*\n| \[\d+:\d+\]/gm, "");
  return { iptables, nftables: nft.replaceAll(/^#.*\n| counter packets \d+ bytes \d+/gm, "") };
}

/** @throws Error if anything but this bench runs in its pid namespace. */
export function nothingRuns(): void {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    const stat = readIfThere(`/proc/${pid}/stat`);
    if (stat !== undefined && !/\) [ZX] /.test(stat))
      throw new Error(`still running when the call had returned: ${stat}`);
  }
}

/** @throws Error if the store does not say that `container` holds `address`, or says that a container holds more. */
export function storeHolds(side: Side, container: Container, address: string): void {
  const text = readIfThere(`${STORE}/networks/${side.network}/${address}`);
  same(`the reservation of ${address}`, text, `${container.id}\r\neth0`);
}

/** @throws Error if a sysctl of the host or of the container is not as the plugins have to set it. */
export function sysctlsHold(side: Side, container: Netns, published: boolean): void {
  const host: readonly (readonly [string, string])[] = [
    ["net/ipv4/ip_forward", "1"],
    [`net/ipv6/conf/${side.bridge}/accept_ra`, "0"],
    ...(published ? [[`net/ipv4/conf/${side.bridge}/route_localnet`, "1"] as const] : []),
  ];
  for (const [key, value] of host) same(key, readSysctl(key), value);
  const arpNotify = inside(container, () => readSysctl("net/ipv4/conf/eth0/arp_notify") ?? "absent");
  same("arp_notify in the container", arpNotify, "1");
}

/** @throws Error if anything differs from the host as it was. */
export function asBefore(before: HostState, after: HostState): void {
  const lines = (state: HostState) => Object.values(state).flatMap((text) => text.split("\n"));
  const [was, is] = [lines(before), lines(after)];
  const lost = was.filter((line) => !is.includes(line)).map((line) => `- ${line}`);
  const left = is.filter((line) => !was.includes(line)).map((line) => `+ ${line}`);
  if (lost.length + left.length > 0) throw new Error(`not as before:\n${[...lost, ...left].join("\n")}`);
}

/** The interfaces of a namespace. */
export function linksIn(netns: Netns): readonly string[] {
  let links: readonly string[] = [];
  inside(netns, () => {
    links = linksHere();
  });
  return links;
}

function linksHere(): readonly string[] {
  const table = readFileSync("/proc/thread-self/net/dev", "utf8");
  return [...table.matchAll(/^\s*([^\s:]+):/gm)].map((match) => match[1] ?? "").sort();
}

/** Reservations and our own records by name; locks and the last address given are meant to stay. */
function filesUnder(directory: string): readonly string[] {
  return namesIn(directory).flatMap((name) => {
    const path = `${directory}/${name}`;
    const below = filesUnder(path);
    if (below.length > 0) return below;
    return /^(lock|last_reserved_ip.*)$/.test(name) ? [] : [path];
  });
}

function same(what: string, found: unknown, wanted: unknown): void {
  if (found !== wanted) throw new Error(`${what} is ${JSON.stringify(found)} and should be ${JSON.stringify(wanted)}`);
}
