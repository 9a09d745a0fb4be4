/**
 * What tells a pod of this node from everybody else (detectLocalMode), and what is odd about how it was set.
 *
 * @module
 */
import { parseAddress } from "../../lib/net/address.ts";
import { formatCidr, networkOf, parseCidr } from "../../lib/net/cidr.ts";
import type { BackendSettings } from "../backend.ts";
import type { NodeObject } from "../objects/objects.ts";
import type { ProxySettings } from "../settings.ts";

/** The addresses of this node's pods, where they are told by address; canonical CIDRs of both families. */
export function podCIDRsOf(settings: ProxySettings, node: NodeObject | undefined): readonly string[] {
  switch (settings.detectLocalMode) {
    case "ClusterCIDR":
      return settings.clusterCIDRs.map(canonical);
    case "NodeCIDR":
      return (node?.podCIDRs ?? []).map(canonical);
    default:
      return [];
  }
}

/** Whether nothing may be programmed yet, since the Node has not been given the addresses that its pods are known by. */
export function awaitsPodCIDR(settings: ProxySettings, node: NodeObject | undefined): boolean {
  return settings.detectLocalMode === "NodeCIDR" && (node === undefined || node.podCIDRs.length === 0);
}

/** The interfaces of this node's pods, where they are told by those. */
export function localInterfaceOf(settings: ProxySettings): BackendSettings["localInterface"] {
  switch (settings.detectLocalMode) {
    case "BridgeInterface":
      return { kind: "bridge", name: settings.bridgeInterface };
    case "InterfaceNamePrefix":
      return { kind: "prefix", prefix: settings.interfaceNamePrefix };
    default:
      return { kind: "none" };
  }
}

/** The family that comes first: of bindAddress if it names one, else of the Node's first address, else IPv4. */
export function primaryFamilyOf(settings: ProxySettings, node: NodeObject | undefined): 4 | 6 {
  const [first] = node === undefined ? [] : node.addresses;
  return parseAddress(boundAddress(settings) ?? first ?? "0.0.0.0").family;
}

/** The node with bindAddress, if it names one, in the place of its own address of that family. */
export function withBindAddress(settings: ProxySettings, node: NodeObject): NodeObject {
  const bound = boundAddress(settings);
  if (bound === undefined) return node;
  const { family } = parseAddress(bound);
  return { ...node, addresses: [bound, ...node.addresses.filter((one) => parseAddress(one).family !== family)] };
}

function boundAddress({ bindAddress }: ProxySettings): string | undefined {
  return parseAddress(bindAddress).value === 0n ? undefined : bindAddress;
}

/** What works otherwise than whoever set it may think, a line each. */
export function localWarnings(settings: ProxySettings, node: NodeObject | undefined): readonly string[] {
  const primary = primaryFamilyOf(settings, node);
  return [...cidrWarnings(settings, node, primary), ...nodePortWarnings(settings, primary)];
}

function cidrWarnings(settings: ProxySettings, node: NodeObject | undefined, primary: 4 | 6): readonly string[] {
  const { detectLocalMode } = settings;
  if (detectLocalMode !== "ClusterCIDR" && detectLocalMode !== "NodeCIDR") {
    return settings.clusterCIDRs.length === 0
      ? []
      : [`clusterCIDR counts for nothing: detectLocalMode is ${detectLocalMode}`];
  }
  // What the Node will have is not known before it is there.
  if (awaitsPodCIDR(settings, node)) return [];
  if (podCIDRsOf(settings, node).some((cidr) => familyOf(cidr) === primary)) return [];
  const source = detectLocalMode === "ClusterCIDR" ? "clusterCIDR" : "the Node's podCIDRs";
  return [
    `detectLocalMode is ${detectLocalMode} and ${source} has no IPv${primary}: no IPv${primary} traffic counts as a local pod's`,
  ];
}

function nodePortWarnings({ nodePortAddresses }: ProxySettings, primary: 4 | 6): readonly string[] {
  if (nodePortAddresses === undefined || nodePortAddresses.includes("primary")) return [];
  const families = new Set(nodePortAddresses.map(familyOf));
  return ([4, 6] as const)
    .filter((family) => !families.has(family) && (family === primary || families.size > 0))
    .map((family) => `nodePortAddresses has no IPv${family}: node ports are on all IPv${family} addresses of the node`);
}

function familyOf(cidr: string): 4 | 6 {
  return parseCidr(cidr).address.family;
}

function canonical(cidr: string): string {
  return formatCidr(networkOf(parseCidr(cidr)));
}
