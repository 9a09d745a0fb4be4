/**
 * Sources of firewalld that no record of ours tells of, because the reference plugin set them.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { realFirewalld } from "../../lib/firewalld/firewalld.ts";
import { type Address, bitsOf, formatAddress } from "../../lib/net/address.ts";
import { backendOf } from "./config.ts";

/** Takes addresses of which we have no record out of the config's zone, where the config may have put them there. */
export async function removeSources(call: PluginCall, addresses: readonly Address[]): Promise<void> {
  const backend = backendOf(call);
  if (addresses.length === 0 || (backend !== undefined && backend !== "firewalld")) return;
  const firewalld = realFirewalld();
  if (!(await firewalld.isRunning("likely"))) return;
  const zone = call.conf.raw.value("firewalldZone");
  const sources = addresses.map((address) => `${formatAddress(address)}/${bitsOf(address.family)}`);
  await firewalld.removeSources(typeof zone === "string" && zone !== "" ? zone : "trusted", sources);
}
