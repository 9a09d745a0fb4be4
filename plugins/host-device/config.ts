/**
 * The host-device plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys and defaults are those of the reference plugin (cni.dev/plugins/current/main/host-device).
 *
 * @module
 */
import { isInterfaceName } from "../../lib/cni/names.ts";
import type { ConfigObject, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { formatMac, parseMac } from "../../lib/net/mac.ts";
import { ipamTypeOf } from "../../lib/plugin/interface.ts";

/** What the device is known by. The first that is there counts, in this order; `deviceID` replaces `pciBusID`. */
export interface DeviceConfig {
  /** Its name on the host. */
  readonly device: string | undefined;
  /** Canonical; 6 bytes, for InfiniBand 8 or 20. */
  readonly hwaddr: string | undefined;
  /** A folder below /sys/devices. */
  readonly kernelpath: string | undefined;
  /** Its name on the PCI bus, such as `0000:00:1f.6`. */
  readonly pciBusID: string | undefined;
  /** From the runtime: its name on the PCI bus, or on the auxiliary bus. */
  readonly deviceID: string | undefined;
  readonly ipamType: string | undefined;
}

/** @throws TsnetError `invalid` naming the key, what it holds and what is allowed, or if none names the device. */
export function parseConfig(call: PluginCall): DeviceConfig {
  const config = parseDevice(call);
  const { device, hwaddr, kernelpath, pciBusID, deviceID } = config;
  if ([device, hwaddr, kernelpath, pciBusID, deviceID].every((key) => key === undefined))
    throw invalid('specify either "device", "hwaddr", "kernelpath" or "pciBusID"');
  return config;
}

/** The same where the device may be the runtime's to name, as in STATUS. @throws TsnetError `invalid`. */
export function parseDevice(call: PluginCall): DeviceConfig {
  const { raw, runtimeConfig } = call.conf;
  return {
    device: parseName(raw),
    hwaddr: parseHardwareAddress(textOf(raw, "hwaddr")),
    kernelpath: parseKernelPath(textOf(raw, "kernelpath")),
    pciBusID: parseBusName("pciBusID", textOf(raw, "pciBusID")),
    deviceID: parseBusName("deviceID", textOf(runtimeConfig, "deviceID")),
    ipamType: ipamTypeOf(call),
  };
}

function textOf(object: ConfigObject, key: string): string | undefined {
  const text = object.string(key);
  return text === "" ? undefined : text;
}

function parseName(raw: ConfigObject): string | undefined {
  const name = textOf(raw, "device");
  if (name === undefined || isInterfaceName(name)) return name;
  throw invalid(`device ${JSON.stringify(name)} is no interface name: at most 15 bytes, without "/", ":" and space`);
}

function parseHardwareAddress(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const long = text.toLowerCase().replaceAll("-", ":");
  // EUI-64, and IP over InfiniBand.
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){7}((:[0-9a-f]{2}){12})?$/.test(long)) return long;
  return formatMac(parseMac(text));
}

function parseKernelPath(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  if (path.startsWith("/sys/devices/") && !path.split("/").includes("..")) return path;
  throw invalid(`kernel device path ${JSON.stringify(path)} must be absolute and begin with /sys/devices/`);
}

/** It becomes part of a path. */
function parseBusName(key: string, name: string | undefined): string | undefined {
  if (name === undefined || /^[A-Za-z0-9][\w.:-]*$/.test(name)) return name;
  throw invalid(`${key} ${JSON.stringify(name)} is no name on a bus, such as 0000:00:1f.6`);
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "host-device config" });
}
