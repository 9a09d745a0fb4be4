/**
 * The MAC that the caller wants for the container's interface.
 *
 * @module
 */
import { parseCniArgs } from "../cni/args.ts";
import type { PluginCall } from "../cni/types.ts";
import { formatMac, parseMac } from "../net/mac.ts";

/**
 * `runtimeConfig.mac`, else `args.cni.mac`, else CNI_ARGS' MAC, else the config's own `mac`; canonical.
 *
 * @throws TsnetError `invalid` for one that is none, `environment` for CNI_ARGS that cannot be read.
 */
export function wantedMac({ args, conf }: PluginCall): string | undefined {
  const texts = [
    conf.runtimeConfig.string("mac"),
    conf.args.object("cni")?.string("mac"),
    args === "" ? undefined : parseCniArgs(args, ["MAC"]).get("MAC"),
    conf.raw.string("mac"),
  ];
  const text = texts.find((each) => each !== undefined && each !== "");
  return text === undefined ? undefined : formatMac(parseMac(text));
}
