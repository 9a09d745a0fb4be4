/**
 * The vlan plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys and defaults are those of the reference plugin (cni.dev/plugins/current/main/vlan).
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { parseStacked, type StackedConfig } from "../../lib/plugin/stacked.ts";

export interface VlanConfig extends StackedConfig {
  readonly master: string;
  /** 0 to 4094; 0 is no VLAN but a priority. */
  readonly vlanId: number;
  readonly ipamType: string;
}

const MAX_VLAN = 4094;

/** @throws TsnetError `invalid` naming the key, what it holds and what is allowed. */
export function parseConfig(call: PluginCall): VlanConfig {
  const stacked = parseStacked(call);
  const { master, ipamType } = stacked;
  if (master === undefined)
    throw invalid('"master" field is required. It specifies the host interface name to create the VLAN for');
  const vlanId = call.conf.raw.integer("vlanId") ?? 0;
  if (vlanId < 0 || vlanId > MAX_VLAN)
    throw invalid(`invalid VLAN ID ${vlanId} (must be between 0 and ${MAX_VLAN} inclusive)`);
  if (ipamType === undefined) throw invalid("ipam.type is missing: vlan takes its addresses from an IPAM plugin");
  return { ...stacked, master, vlanId, ipamType };
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "vlan config" });
}
