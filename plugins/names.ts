/**
 * The plugins that this executable is, by the names that runtimes call them.
 *
 * @module
 */
import { UNNAMED_VERSION, versionsFrom } from "../lib/cni/supported.ts";

export const pluginNames = [
  "bandwidth",
  "bridge",
  "dhcp",
  "dummy",
  "firewall",
  "host-device",
  "host-local",
  "ipvlan",
  "loopback",
  "macvlan",
  "overlay",
  "portmap",
  "ptp",
  "sbr",
  "static",
  "tap",
  "tsnet",
  "tuning",
  "vlan",
  "vrf",
] as const;

export type PluginName = (typeof pluginNames)[number];

/** The config versions that a plugin supports: VERSION is answered without loading it. */
export function versionsOf(name: PluginName): readonly string[] {
  return versionsFrom(FIRST_VERSION[name] ?? UNNAMED_VERSION);
}

const FIRST_VERSION: Partial<Record<PluginName, string>> = { bandwidth: "0.3.0", firewall: "0.4.0", vrf: "0.3.1" };

/** Whether `name` is one of ours. */
export function isPluginName(name: string): name is PluginName {
  return (pluginNames as readonly string[]).includes(name);
}
