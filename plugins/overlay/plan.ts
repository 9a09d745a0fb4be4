/**
 * The config for the plugin that does the work, computed from ours and from what the agent wrote. Pure.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { type Address, compareAddress, formatAddress } from "../../lib/net/address.ts";
import { type Cidr, contains, formatCidr, lastOf, networkOf } from "../../lib/net/cidr.ts";
import type { SubnetEnv } from "../../lib/overlay/subnetenv.ts";
import { HOST_LOCAL, type OverlayConfig } from "./config.ts";

/** A plugin's config, as JSON has it. */
export type PluginConf = Readonly<Record<string, unknown>>;

/** What is known of the network when a container comes; less is needed when it goes. */
export interface Ground {
  readonly env: SubnetEnv | undefined;
  /** Addresses that host-local gave out on networks of other names: see `taken.ts`. */
  readonly taken: readonly Address[];
  /** Whether the bridge's address is to be replaced: see `leftover.ts`. */
  readonly leftOver?: boolean;
}

/** What every call of that plugin has, whatever was done by ADD: the verb's own keys and the runtime's. */
export function passedOn({ conf: { raw, cniVersion } }: PluginCall): PluginConf {
  const keys = ["runtimeConfig", "args", "dns", "prevResult", "cni.dev/valid-attachments"];
  const there = keys.filter((key) => raw.has(key)).map((key) => [key, raw.value(key)]);
  return { ...Object.fromEntries(there), cniVersion };
}

/** The whole config. Defaults are what an overlay needs; `delegate` comes before them. */
export function delegateConf(call: PluginCall, config: OverlayConfig, ground: Ground): PluginConf {
  return {
    ...defaultsOf(config, ground),
    ...config.delegate.raw,
    type: config.type,
    name: call.conf.name,
    ipam: ipamConf(config, ground),
    ...passedOn(call),
  };
}

/** The agent masquerades, and knows which destinations are the cluster's: a bridge would do it within the cluster too. */
function defaultsOf({ type, delegate, bridge }: OverlayConfig, { env, leftOver = false }: Ground): PluginConf {
  const all: PluginConf = { ipMasq: false, ...(env === undefined ? {} : { mtu: env.mtu }) };
  const gateway = delegate.has("isGateway") ? {} : { isDefaultGateway: true };
  const hairpin = delegate.boolean("promiscMode") === true ? {} : { hairpinMode: true };
  const force = leftOver ? { forceAddress: true } : {};
  const own: PluginConf = type === "bridge" ? { ...all, bridge, ...gateway, ...hairpin, ...force } : all;
  // Of keys that differ only in case the last one counts, so one that the delegate has is not given at all.
  return Object.fromEntries(Object.entries(own).filter(([key]) => !delegate.has(key)));
}

function ipamConf({ ipam, ipamType }: OverlayConfig, { env, taken }: Ground): PluginConf {
  const base = { ...ipam.raw, type: ipamType };
  if (env === undefined) return base;
  const subnets = Object.values(env.subnets).map(networkOf);
  const networks = [...Object.values(env.networks), ...(env.moreNetworks ?? [])];
  const rangesOf = (subnet: Cidr) => (ipamType === HOST_LOCAL ? rangesAround(subnet, taken) : [whole(subnet)]);
  return {
    ...base,
    ranges: subnets.map(rangesOf),
    routes: [...(ipam.array("routes") ?? []), ...networks.map((network) => ({ dst: formatCidr(network) }))],
  };
}

/** The ranges of `subnet` that hold none of `taken`. */
export function rangesAround(subnet: Cidr, taken: readonly Address[]): readonly PluginConf[] {
  const holes = taken.filter((address) => contains(subnet, address)).toSorted(compareAddress);
  if (holes.length === 0) return [whole(subnet)];
  const { family } = subnet.address;
  const [first, last] = [subnet.address.value + 1n, lastOf(subnet).value - (family === 4 ? 1n : 0n)];
  const starts = [first, ...holes.map(({ value }) => value + 1n)];
  const ends = [...holes.map(({ value }) => value - 1n), last];
  return starts.flatMap((start, at) => {
    const end = ends[at] ?? last;
    if (start > end) return [];
    const range = {
      rangeStart: formatAddress({ family, value: start }),
      rangeEnd: formatAddress({ family, value: end }),
    };
    return [{ ...whole(subnet), ...range }];
  });
}

function whole(subnet: Cidr): PluginConf {
  return { subnet: formatCidr(subnet) };
}
