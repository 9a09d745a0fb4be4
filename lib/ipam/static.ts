/**
 * static, the address plugin that gives what it is told: its verbs, for its own process and for plugins that call
 * them without one. It keeps nothing, so that there is nothing to free.
 *
 * Where addresses come from, and the texts of errors, are the reference plugin's: people search their logs for them.
 *
 * @module
 */
import { parseCniArgs } from "../cni/args.ts";
import { parseDns } from "../cni/config.ts";
import { addressIn } from "../cni/object.ts";
import { isAtLeast } from "../cni/supported.ts";
import type { CniIp, CniResult, ConfigObject, PluginCall } from "../cni/types.ts";
import { parseRoute } from "../cni/versions.ts";
import { TsnetError } from "../errors.ts";
import { type Address, formatAddress, parseAddress, sameAddress } from "../net/address.ts";
import { type Cidr, contains, formatCidr, parseCidr } from "../net/cidr.ts";

/** The verbs of static. */
export const staticAddresses = {
  /** What the config, or the runtime in its place, says. The result has no interfaces: they are the caller's. */
  add(call: PluginCall): CniResult {
    return parseStaticConfig(call);
  },

  /** Nothing was taken, so that a config that ADD refused is fine, too. */
  del(_call: PluginCall): void {},

  /** @throws TsnetError `check-failed` if the result lacks an address that is to be given, or has another gateway. */
  check(call: PluginCall): void {
    const given = call.conf.prevResult?.ips ?? [];
    for (const { address, gateway } of parseStaticConfig(call).ips) {
      const there = given.find((ip) => sameAddress(ip.address.address, address.address));
      if (there === undefined) throw failed(`${formatCidr(address)} is not in the result`);
      if (gateway === undefined || (there.gateway !== undefined && sameAddress(there.gateway, gateway))) continue;
      const has = there.gateway === undefined ? "none" : formatAddress(there.gateway);
      throw failed(`${formatCidr(address)} has the gateway ${has} in the result, wanted ${formatAddress(gateway)}`);
    }
  },

  /** There is nothing to collect. */
  gc(_call: PluginCall): void {},

  /** @throws TsnetError as ADD does for a config that it refuses. */
  status(call: PluginCall): void {
    parseStaticConfig(call);
  },
} as const;

/**
 * Everything that ADD gives.
 *
 * @throws TsnetError `invalid`, `decoding`; `environment` for CNI_ARGS.
 */
export function parseStaticConfig(call: PluginCall): CniResult {
  const ipam = call.conf.raw.object("ipam");
  if (ipam === undefined) throw new TsnetError("IPAM config missing 'ipam' key", { code: "invalid" });
  const dns = ipam.object("dns");
  const ips = addressesOf(call, ipam);
  checkFamilies(ips, call.conf.cniVersion);
  return {
    interfaces: [],
    ips,
    routes: (ipam.objects("routes") ?? []).map(parseRoute),
    dns: dns === undefined ? {} : parseDns(dns),
  };
}

/** What the runtime asks for replaces what the config has; what CNI_ARGS asks for comes beside it. */
function addressesOf(call: PluginCall, ipam: ConfigObject): readonly CniIp[] {
  const configured = (ipam.objects("addresses") ?? []).map((entry) => ({
    entry,
    gateway: addressIn(entry, "gateway"),
  }));
  const fromArguments = requestedByArguments(call.args);
  const fromArgs = requested(call.conf.args.object("cni")?.strings("ips"));
  const fromRuntime = requested(call.conf.runtimeConfig.strings("ips"));
  if (fromRuntime.length > 0) return fromRuntime;
  if (fromArgs.length > 0) return fromArgs;
  const own = configured.map(({ entry, gateway }) => {
    const text = entry.string("address") ?? "";
    const address = cidrOf(text, `the 'address' field is expected to be in CIDR notation, got: '${text}'`);
    return { address, ...(gateway === undefined ? {} : { gateway }) };
  });
  return [...own, ...fromArguments];
}

/** `IP=10.1.0.5/24,fd00::5/64;GATEWAY=10.1.0.1,fd00::1`: each gateway serves the subnet that it lies in. */
function requestedByArguments(args: string): readonly CniIp[] {
  const all = parseCniArgs(args, ["IP", "GATEWAY"]);
  const addresses = listOf(all.get("IP")).map((text) =>
    cidrOf(text, `the 'ip' field is expected to be in CIDR notation, got: '${text}'`),
  );
  const gateways = listOf(all.get("GATEWAY")).map(gatewayOf);
  return addresses.map((address) => {
    const gateway = gateways.findLast((each) => contains(address, each));
    return { address, ...(gateway === undefined ? {} : { gateway }) };
  });
}

function requested(ips: readonly string[] = []): readonly CniIp[] {
  return ips.map((text) => ({
    address: cidrOf(text, `an entry in the 'ips' field is NOT in CIDR notation, got: '${text}'`),
  }));
}

function listOf(text = ""): readonly string[] {
  return text === "" ? [] : text.split(",").map((item) => item.trim());
}

function cidrOf(text: string, message: string): Cidr {
  try {
    return parseCidr(text);
  } catch (cause) {
    throw new TsnetError(message, { code: "invalid", op: "static config", cause });
  }
}

function gatewayOf(text: string): Address {
  try {
    return parseAddress(text);
  } catch (cause) {
    throw new TsnetError(`invalid gateway address: ${text}`, { code: "invalid", op: "static config", cause });
  }
}

/** Below 0.3.0 a result has room for one address a family. */
function checkFamilies(ips: readonly CniIp[], version: string): void {
  if (isAtLeast(version, "0.3.0")) return;
  for (const family of [4, 6]) {
    if (ips.filter(({ address }) => address.address.family === family).length > 1) {
      throw new TsnetError(`CNI version ${version} does not support more than 1 address per family`, {
        code: "invalid",
      });
    }
  }
}

function failed(message: string): TsnetError {
  return new TsnetError(`static: ${message}`, { code: "check-failed", op: "check address" });
}
