/**
 * The ipvlan plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys and defaults are those of the reference plugin (cni.dev/plugins/current/main/ipvlan).
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import type { IpvlanMode } from "../../lib/netlink/stacked.ts";
import { parseStacked, type StackedConfig } from "../../lib/plugin/stacked.ts";

export interface IpvlanConfig extends StackedConfig {
  readonly mode: IpvlanMode;
}

/** An interface to add: where its addresses come from is clear. */
export interface IpvlanToAdd extends IpvlanConfig {
  /** The result of the plugin before us in the chain, where its addresses are to be ours. */
  readonly given: CniResult | undefined;
}

/** @throws TsnetError `invalid` naming the key, what it holds and what is allowed. */
export function parseConfig(call: PluginCall): IpvlanConfig {
  return { ...parseStacked(call), mode: parseMode(call.conf.raw.string("mode")) };
}

/**
 * In a chain the master is the interface of the plugin before, and without IPAM so are the addresses.
 *
 * @throws TsnetError `invalid` as {@link parseConfig} does, and if there are neither master nor addresses to be had.
 */
export function parseConfigToAdd(call: PluginCall): IpvlanToAdd {
  const config = parseConfig(call);
  const { prevResult } = call.conf;
  const given = config.ipamType === undefined && prevResult !== undefined && prevResult.ips.length > 0;
  if (config.ipamType === undefined && !given)
    throw invalid("ipvlan has no addresses to give: it needs ipam, or a plugin before it in the chain that gives some");
  return {
    ...config,
    master: config.master ?? (prevResult === undefined ? undefined : chainedMaster(prevResult)),
    given: given ? prevResult : undefined,
  };
}

function chainedMaster({ interfaces }: CniResult): string {
  const [only, ...more] = interfaces;
  if (only !== undefined && only.name !== "" && more.length === 0) return only.name;
  throw invalid("chained master failure. PrevResult lacks a single named interface: name the master in the config");
}

function parseMode(mode = ""): IpvlanMode {
  switch (mode) {
    case "":
      return "l2";
    case "l2":
    case "l3":
    case "l3s":
      return mode;
    default:
      throw invalid(`unknown ipvlan mode: ${JSON.stringify(mode)}, allowed are l2, l3 and l3s`);
  }
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "ipvlan config" });
}
