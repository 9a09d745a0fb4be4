/**
 * The kernel's settings that a service proxy depends on: room and time-outs for tracked connections, and node ports
 * on 127.0.0.1.
 *
 * None of them is worth being without services for: one that cannot be written, as in a container whose /proc/sys is
 * read-only, is a warning that names it and what to do, and the rest goes on. `--init-only` does this alone, where
 * there are the rights to.
 *
 * @module
 */

import type { Log } from "../../lib/daemon/log.ts";
import { messageOf, TsnetError } from "../../lib/errors.ts";
import { overwriteFile, readIfThere, readSysctl, writeSysctl } from "../../lib/sys/files.ts";
import type { ConntrackSettings } from "../settings.ts";

/** Entries that kube-proxy lets a machine of many CPUs have at most by itself, so that the table fits its memory. */
const MOST_BY_CPUS = 1_048_576;
const HASH_SIZE = "/sys/module/nf_conntrack/parameters/hashsize";

/** A sysctl by its path below /proc/sys, and the value for it. */
export type Sysctl = readonly [key: string, value: string];

/** What connection tracking shall be set to, on a machine of `cpus`. The kernel's times are whole seconds. */
export function conntrackSysctls(wanted: ConntrackSettings, cpus: number): readonly Sysctl[] {
  const max = conntrackMax(wanted, cpus);
  const times: readonly (readonly [string, number | undefined])[] = [
    ["tcp_timeout_established", wanted.tcpEstablishedTimeout],
    ["tcp_timeout_close_wait", wanted.tcpCloseWaitTimeout],
    ["udp_timeout", wanted.udpTimeout],
    ["udp_timeout_stream", wanted.udpStreamTimeout],
  ];
  return [
    ...(max === undefined ? [] : [conntrackKey("max", max)]),
    ...times.flatMap(([name, ms]) => (ms === undefined ? [] : [conntrackKey(name, Math.floor(ms / 1000))])),
    ...(wanted.tcpBeLiberal ? [conntrackKey("tcp_be_liberal", 1)] : []),
  ];
}

/** Sets connection tracking up. Nothing is written that holds already. */
export function setConntrack(wanted: ConntrackSettings, log: Log): void {
  for (const sysctl of conntrackSysctls(wanted, cpuCount())) set(sysctl, log);
  const max = conntrackMax(wanted, cpuCount());
  if (max !== undefined) widenHash(Math.floor(max / 4), log);
}

/**
 * Lets 127.0.0.1 be where a node port is, in iptables mode and for IPv4. To be called when the rules are in place
 * that keep neighbours away from 127.0.0.1, which this opens to them (CVE-2020-8558).
 */
export function openLocalhost(log: Log): void {
  set(["net/ipv4/conf/all/route_localnet", "1"], log);
}

function conntrackMax({ maxPerCore, min = 0 }: ConntrackSettings, cpus: number): number | undefined {
  return maxPerCore === undefined ? undefined : Math.max(min, Math.min(maxPerCore * cpus, MOST_BY_CPUS));
}

function conntrackKey(name: string, value: number): Sysctl {
  return [`net/netfilter/nf_conntrack_${name}`, String(value)];
}

function set([key, value]: Sysctl, log: Log): void {
  const name = key.replaceAll("/", ".");
  try {
    const before = readSysctl(key);
    if (before === value) return;
    if (before === undefined) throw new TsnetError("the kernel has no such sysctl", { code: "kernel-lacks" });
    writeSysctl(key, value);
    log.info("sysctl set", { sysctl: name, value, before });
  } catch (error) {
    log.warn(`sysctl ${name} stays as it is: set it on the host, or let a privileged init container do --init-only`, {
      sysctl: name,
      wanted: value,
      now: readSysctl(key),
      reason: messageOf(error),
    });
  }
}

/** A table with more entries than four a bucket is slow to look through. The kernel's own size is from its memory. */
function widenHash(buckets: number, log: Log): void {
  const before = Number(readIfThere(HASH_SIZE) ?? Number.POSITIVE_INFINITY);
  if (before >= buckets) return;
  try {
    overwriteFile(HASH_SIZE, String(buckets));
    log.info("conntrack's hash widened", { buckets, before });
  } catch (error) {
    log.warn(`${HASH_SIZE} stays as it is: connection tracking may be slow when its table is full`, {
      wanted: buckets,
      now: before,
      reason: messageOf(error),
    });
  }
}

/** The machine's CPUs, whichever of them this process may use. */
function cpuCount(): number {
  const online = readIfThere("/sys/devices/system/cpu/online") ?? "";
  const ranges = online
    .trim()
    .split(",")
    .map((range) => range.split("-").map(Number));
  const count = ranges.reduce((sum, [first = 0, last = first]) => sum + last - first + 1, 0);
  return online.trim() === "" || Number.isNaN(count) ? navigator.hardwareConcurrency : count;
}
