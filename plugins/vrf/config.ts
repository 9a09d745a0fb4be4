/**
 * The vrf plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys and defaults are those of the reference plugin (cni.dev/plugins/current/meta/vrf).
 *
 * @module
 */
import { isInterfaceName } from "../../lib/cni/names.ts";
import type { PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";

export interface VrfConfig {
  readonly vrfName: string;
  /** 1 to 4,294,967,295; undefined: one that is free, or whichever the VRF has that is there. */
  readonly table: number | undefined;
}

const MAX_TABLE = 0xffff_ffff;

/** @throws TsnetError `invalid` naming the key, what it holds and what is allowed; `decoding`. */
export function parseConfig({ conf: { raw, args } }: PluginCall): VrfConfig {
  // The reference's documentation names both as args of the runtime, its source reads them from the config.
  const given = args.object("cni");
  const vrfName = given?.string("vrfname") || raw.string("vrfname") || "";
  if (vrfName === "") throw invalid("configuration is expected to have a valid vrf name: set vrfname");
  if (!isInterfaceName(vrfName)) {
    throw invalid(
      `vrfname ${JSON.stringify(vrfName)} is no interface name: at most 15 bytes, without "/", ":" and white space`,
    );
  }
  const table = given?.integer("table") || raw.integer("table") || 0;
  if (table < 0 || table > MAX_TABLE)
    throw invalid(`table is ${table}, allowed are 1 to ${MAX_TABLE}, or 0 for a free one`);
  return { vrfName, table: table === 0 ? undefined : table };
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "vrf config" });
}
