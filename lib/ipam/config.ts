/**
 * What host-local reads of a network config: ranges, addresses asked for, routes, where to keep things.
 *
 * @module
 */
import { parseCniArgs } from "../cni/args.ts";
import { addressIn, cidrIn, objectAt } from "../cni/object.ts";
import { CNI_VERSIONS, isAtLeast } from "../cni/supported.ts";
import type { CniRoute, ConfigObject, PluginCall } from "../cni/types.ts";
import { parseRoute } from "../cni/versions.ts";
import { messageOf, TsnetError } from "../errors.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { parseCidr } from "../net/cidr.ts";
import { DEFAULT_DATA_DIR } from "./disk.ts";
import { buildRangeSets, type RangeSet, type RangeSpec } from "./range.ts";

/** Everything that ADD needs. */
export interface IpamConfig {
  readonly dataDir: string;
  readonly sets: readonly RangeSet[];
  readonly requested: readonly Address[];
  readonly routes: readonly CniRoute[];
  /** A file in the form of resolv.conf, or empty. */
  readonly resolvConf: string;
}

/**
 * The whole of it.
 *
 * @throws TsnetError `invalid`, `decoding`; `environment` for CNI_ARGS.
 */
export function parseIpamConfig(call: PluginCall): IpamConfig {
  const ipam = ipamOf(call);
  const specs = rangeSpecsOf(call, ipam);
  if (specs.length === 0) throw new TsnetError("no IP ranges specified", { code: "invalid" });
  const sets = buildRangeSets(specs);
  checkFamilies(sets, call.conf.cniVersion);
  return {
    dataDir: dataDirOf(call),
    sets,
    requested: requestedBy(call),
    routes: (ipam.objects("routes") ?? []).map(parseRoute),
    resolvConf: ipam.string("resolvConf") ?? "",
  };
}

/**
 * The range sets, none if the config has none: they may come with the call of ADD alone, by runtimeConfig.
 *
 * @throws TsnetError `invalid`, `decoding`.
 */
export function parseRangeSets(call: PluginCall): readonly RangeSet[] {
  return buildRangeSets(rangeSpecsOf(call, ipamOf(call)));
}

/** Where the networks are kept; all that DEL and GC need. @throws TsnetError `invalid`, `decoding`. */
export function dataDirOf(call: PluginCall): string {
  return ipamOf(call).string("dataDir") || DEFAULT_DATA_DIR;
}

function ipamOf(call: PluginCall): ConfigObject {
  const ipam = call.conf.raw.object("ipam");
  if (ipam === undefined) throw new TsnetError("IPAM config missing 'ipam' key", { code: "invalid" });
  return ipam;
}

/** In the order of the sets' numbers: what the runtime gives, the old single range, the config's own. */
function rangeSpecsOf(call: PluginCall, ipam: ConfigObject): readonly (readonly RangeSpec[])[] {
  return [
    ...rangeSetsIn(call.conf.runtimeConfig, "ipRanges"),
    ...(ipam.string("subnet") ? [[rangeSpec(ipam)]] : []),
    ...rangeSetsIn(ipam, "ranges"),
  ];
}

function rangeSetsIn(object: ConfigObject, key: string): readonly (readonly RangeSpec[])[] {
  return (object.array(key) ?? []).map((set, i) => {
    const at = `${object.at}.${key}[${i}]`;
    if (!Array.isArray(set)) throw new TsnetError(`${at} must be a list of ranges`, { code: "decoding" });
    return set.map((range, j) => rangeSpec(objectAt(range, `${at}[${j}]`)));
  });
}

function rangeSpec(object: ConfigObject): RangeSpec {
  const subnet = cidrIn(object, "subnet");
  if (subnet === undefined) throw new TsnetError(`${object.at} needs a subnet`, { code: "invalid" });
  const [rangeStart, rangeEnd] = [addressIn(object, "rangeStart"), addressIn(object, "rangeEnd")];
  const gateway = addressIn(object, "gateway");
  return {
    subnet,
    ...(rangeStart === undefined ? {} : { rangeStart }),
    ...(rangeEnd === undefined ? {} : { rangeEnd }),
    ...(gateway === undefined ? {} : { gateway }),
  };
}

/** Below 0.3.0 a result has room for one address a family. */
function checkFamilies(sets: readonly RangeSet[], version: string): void {
  if (!CNI_VERSIONS.includes(version) || isAtLeast(version, "0.3.0")) return;
  for (const family of [4, 6]) {
    if (sets.filter(([range]) => range?.start.family === family).length > 1) {
      throw new TsnetError(`CNI version ${version} does not support more than 1 address per family`, {
        code: "invalid",
      });
    }
  }
}

function requestedBy(call: PluginCall): readonly Address[] {
  const argument = parseCniArgs(call.args, ["IP"]).get("IP");
  return [
    ...(argument === undefined ? [] : [argument]),
    ...(call.conf.args.object("cni")?.strings("ips") ?? []),
    ...(call.conf.runtimeConfig.strings("ips") ?? []),
  ].map(requestedAddress);
}

/** `ip` or `ip/len`; the length is the subnet's in any case. */
function requestedAddress(text: string): Address {
  try {
    return text.includes("/") ? parseCidr(text).address : parseAddress(text);
  } catch (cause) {
    throw new TsnetError(`cannot understand requested ip: ${messageOf(cause)}`, { code: "invalid", cause });
  }
}
