/**
 * What of the settings a back end of one family gets to know.
 *
 * @module
 */

import { formatCidr, networkOf, overlaps, parseCidr } from "../../lib/net/cidr.ts";
import type { BackendSettings, ProxyMode } from "../backend.ts";
import type { ProxySettings } from "../settings.ts";
import { localInterfaceOf } from "./local.ts";

export function backendSettings(settings: ProxySettings, mode: ProxyMode, family: 4 | 6): BackendSettings {
  const nodePortAddresses = nodePortAddressesOf(settings, mode, family);
  return {
    family,
    masqueradeAll: settings.masqueradeAll,
    masqueradeBit: settings.masqueradeBit,
    localInterface: localInterfaceOf(settings),
    nodePortAddresses,
    localhostNodePorts: settings.localhostNodePorts && servesLocalhost(mode, family, nodePortAddresses),
    dropInvalid: settings.dropInvalid,
  };
}

/** All in iptables mode and primary in nftables mode, as kube-proxy; a family that is not named takes them on all. */
function nodePortAddressesOf(
  { nodePortAddresses }: ProxySettings,
  mode: ProxyMode,
  family: 4 | 6,
): BackendSettings["nodePortAddresses"] {
  if (nodePortAddresses === undefined) return mode === "iptables" ? "all" : "primary";
  if (nodePortAddresses.includes("primary")) return "primary";
  const cidrs = nodePortAddresses.map(parseCidr).filter(({ address }) => address.family === family);
  return cidrs.length === 0 ? "all" : [...new Set(cidrs.map((cidr) => formatCidr(networkOf(cidr))))];
}

function servesLocalhost(mode: ProxyMode, family: 4 | 6, addresses: BackendSettings["nodePortAddresses"]): boolean {
  if (mode !== "iptables" || family !== 4 || addresses === "primary") return false;
  return addresses === "all" || addresses.some((cidr) => overlaps(parseCidr(cidr), LOOPBACK));
}

const LOOPBACK = parseCidr("127.0.0.0/8");
