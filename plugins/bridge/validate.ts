/**
 * The config of an ADD read to the end, addresses included, before anything is touched.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { validateIpam } from "../../lib/ipam/call.ts";
import { parseConfig } from "./config.ts";

/** @throws TsnetError as ADD does, for this plugin's keys and for those of an IPAM plugin of ours. */
export async function validate(call: PluginCall): Promise<void> {
  const { ipamType } = parseConfig(call);
  if (ipamType !== undefined) await validateIpam(ipamType, call);
}
