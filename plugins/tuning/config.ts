/**
 * The tuning plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys and defaults are those of the reference plugin (cni.dev/plugins/current/meta/tuning). A key comes from
 * `args.cni`, from runtimeConfig, from CNI_ARGS or from the config itself; the first of them that has it counts.
 *
 * @module
 */
import { parseCniArgs } from "../../lib/cni/args.ts";
import type { ConfigObject, PluginCall } from "../../lib/cni/types.ts";
import { messageOf, TsnetError } from "../../lib/errors.ts";
import { interfaceMac } from "../../lib/plugin/mac.ts";
import { refuseRepeated } from "./repeated.ts";
import { type Sysctl, sysctlFile } from "./sysctl.ts";

export interface TuningConfig {
  readonly dataDir: string;
  readonly sysctls: readonly Sysctl[];
  /** As the kernel prints it. */
  readonly mac: string | undefined;
  /** False is no wish: whoever turned it on may keep it. */
  readonly promisc: boolean;
  /** Bytes. */
  readonly mtu: number | undefined;
  readonly allmulti: boolean | undefined;
  /** Packets. */
  readonly txQueueLength: number | undefined;
}

export const DATA_DIR = "/run/cni/tuning";
const U32_MAX = 0xffff_ffff;

/** @throws TsnetError `invalid`, `decoding` or `environment`, naming the key, what it holds and what is allowed. */
export function parseConfig(call: PluginCall): TuningConfig {
  const { raw, args } = call.conf;
  const above = args.object("cni");
  // Of a key that both have, the one in `args.cni` counts, also to undo a wish: an empty MAC, an MTU of 0.
  const from = (key: string): ConfigObject => (above?.has(key) === true ? above : raw);
  const mtu = whole(from("mtu"), "mtu");
  return {
    dataDir: parseDataDir(raw),
    sysctls: parseSysctls(call, above),
    mac: parseMacOf(call, above),
    promisc: from("promisc").boolean("promisc") ?? false,
    mtu: mtu === 0 ? undefined : mtu,
    allmulti: from("allmulti").boolean("allmulti"),
    txQueueLength: whole(from("txQLen"), "txQLen"),
  };
}

/** Where the back-ups lie. DEL and GC read no other key, so that a config which ADD refused does not stop them. */
export function parseDataDir(raw: ConfigObject): string {
  const directory = raw.string("dataDir") || DATA_DIR;
  if (directory.startsWith("/")) return directory.replace(/\/+$/, "") || "/";
  throw invalid(`dataDir is ${JSON.stringify(directory)}, wanted an absolute path`);
}

function parseSysctls({ stdin, ifname, conf }: PluginCall, above: ConfigObject | undefined): readonly Sysctl[] {
  refuseRepeated(stdin, ["sysctl"]);
  if (above !== undefined) refuseRepeated(stdin, ["args", "cni", "sysctl"]);
  const own = sysctlsIn(conf.raw, ifname);
  const wanted = new Map(own);
  for (const [file, sysctl] of above === undefined ? [] : sysctlsIn(above, ifname)) wanted.set(file, sysctl);
  return [...wanted.values()];
}

/** By the file that each stands for. */
function sysctlsIn(object: ConfigObject, ifname: string): ReadonlyMap<string, Sysctl> {
  const sysctls = new Map<string, Sysctl>();
  const given = object.object("sysctl");
  for (const [key, value] of Object.entries(given?.raw ?? {})) {
    if (typeof value !== "string") {
      throw new TsnetError(`${given?.at}[${JSON.stringify(key)}] must be a string, not ${JSON.stringify(value)}`, {
        code: "decoding",
        op: "tuning config",
      });
    }
    const file = sysctlFile(key, ifname);
    const other = sysctls.get(file);
    if (other !== undefined) {
      throw invalid(`duplicated sysctl keys are not allowed: ${other.key} and ${key} are the same`);
    }
    sysctls.set(file, { key, file, value });
  }
  return sysctls;
}

function parseMacOf({ args, conf }: PluginCall, above: ConfigObject | undefined): string | undefined {
  const fromArgs = args === "" ? undefined : parseCniArgs(args, ["MAC"]).get("MAC");
  const [where, text] =
    above?.has("mac") === true
      ? ["args.cni.mac", above.string("mac")]
      : ([
          ["runtimeConfig.mac", conf.runtimeConfig.string("mac")],
          ["MAC of CNI_ARGS", fromArgs],
          ["mac", conf.raw.string("mac")],
        ].find(([, given]) => given !== undefined && given !== "") ?? ["mac", undefined]);
  if (text === undefined || text === "") return undefined;
  try {
    return interfaceMac(text);
  } catch (error) {
    throw invalid(`invalid args ${text} for MAC addr (${where}): ${messageOf(error)}`);
  }
}

function whole(from: ConfigObject, key: string): number | undefined {
  const value = from.integer(key);
  if (value === undefined || (value >= 0 && value <= U32_MAX)) return value;
  throw invalid(`${from.at === "" ? "" : `${from.at}.`}${key} is ${value}, allowed are 0 to ${U32_MAX}`);
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "tuning config" });
}
