/**
 * The MAC that the caller wants for the container's interface.
 *
 * @module
 */
import { parseCniArgs } from "../cni/args.ts";
import type { PluginCall } from "../cni/types.ts";
import { TsnetError } from "../errors.ts";
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
  return text === undefined ? undefined : interfaceMac(text);
}

/** The MAC canonical, if an interface can have it: no group's, and not all zeros. @throws TsnetError `invalid`. */
export function interfaceMac(text: string): string {
  const bytes = parseMac(text);
  // The group bit of IEEE 802, section 8.2.
  const isGroup = ((bytes[0] ?? 0) & 1) === 1;
  if (!isGroup && bytes.some((byte) => byte !== 0)) return formatMac(bytes);
  const what = isGroup ? "a group's (its first byte is odd)" : "all zeros";
  throw new TsnetError(`MAC address ${text} is ${what}, which no interface can have`, { code: "invalid", op: "MAC" });
}
