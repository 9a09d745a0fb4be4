/**
 * br_netfilter, which has packets that a bridge passes on go through iptables.
 *
 * The overlay works without. Services do not, between two containers of one host: what the service's address was
 * translated to answers by the bridge alone, past the connection's entry, and the client hears from a stranger. So
 * this is looked at and told, and never a reason to stop.
 *
 * @module
 */
import type { Log } from "../../lib/daemon/log.ts";
import type { Family } from "../../lib/net/address.ts";
import { readSysctl } from "../../lib/sys/files.ts";

const SWITCH = {
  4: "net/bridge/bridge-nf-call-iptables",
  6: "net/bridge/bridge-nf-call-ip6tables",
} as const;

/** Tells once what is missing: as a warning where `services` are served, else for whoever looks for it. */
export function checkBridgeFilter(families: readonly Family[], log: Log, services: boolean): void {
  const missing = missingBridgeFilter(families);
  if (missing === undefined) return;
  const message = `a container that calls a Service of a container on the same host gets no answer: ${missing}`;
  if (services) log.warn(message);
  else log.debug(1, message);
}

/** What is missing and the command that mends it; undefined if all is there. */
export function missingBridgeFilter(families: readonly Family[]): string | undefined {
  const values = families.map((family) => ({ family, value: readSysctl(SWITCH[family]) }));
  if (values.some(({ value }) => value === undefined))
    return "the kernel's br_netfilter is not loaded: modprobe br_netfilter";
  const off = values.filter(({ value }) => value === "0").map(({ family }) => SWITCH[family].replaceAll("/", "."));
  if (off.length === 0) return undefined;
  return `${off.join(" and ")} ${off.length === 1 ? "is" : "are"} 0: ${off.map((name) => `sysctl -w ${name}=1`).join("; ")}`;
}
