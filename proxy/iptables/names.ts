/**
 * The names of chains and sets.
 *
 * Those that others rely on are kube-proxy's own. So are the names of a service's chains, and the rest begins as those
 * do: a kube-proxy that takes over takes every chain of the nat table with one of these prefixes for a stale one of
 * its own and removes it, and we do the same with its.
 *
 * @module
 */
import type { Protocol } from "../objects/objects.ts";
import type { Endpoint } from "../table/types.ts";

export const SERVICES = "KUBE-SERVICES";
export const NODE_PORTS = "KUBE-NODEPORTS";
export const POSTROUTING = "KUBE-POSTROUTING";
export const MARK_MASQ = "KUBE-MARK-MASQ";
export const FORWARD = "KUBE-FORWARD";
export const EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES";
export const PROXY_FIREWALL = "KUBE-PROXY-FIREWALL";
/** kubelet's as much as ours: never deleted. */
export const FIREWALL = "KUBE-FIREWALL";
/** Empty, in three tables: who flushes the rules takes it away. */
export const CANARY = "KUBE-PROXY-CANARY";
/** Empty, in nat: the rules are tsnet's, not the real kube-proxy's, which removes it as a stale service. */
export const MARKER = "KUBE-SVC-tsnet-proxy";
/** Masquerades what is not from a pod of this node, where that takes more than one rule to tell. */
export const NOT_LOCAL = "KUBE-SVC-not-local";

/** Of mangle, for a moment at the start: what the kernel has is tried here. */
export const PROBE = "KUBE-SEP-tsnet-probe";

/** kubelet's, in mangle: which variant of iptables this node uses. */
export const KUBELET_HINTS = ["KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY"] as const;

const SERVICE_PREFIXES = ["KUBE-SVC-", "KUBE-SVL-", "KUBE-FW-", "KUBE-EXT-", "KUBE-SEP-"] as const;

/** Whether a chain of the nat table is a service's: kube-proxy's or ours. */
export function isServiceChain(chain: string): boolean {
  return SERVICE_PREFIXES.some((prefix) => chain.startsWith(prefix));
}

/** The chains of one service port. */
export interface PortChains {
  /** To the endpoints of policy Cluster. */
  readonly svc: string;
  /** To the local ones. */
  readonly svl: string;
  /** Of external frontends. */
  readonly ext: string;
  /** Of source ranges. */
  readonly fw: string;
}

/** @param name is `namespace/name:port`, or `namespace/name` where the port has no name. */
export function portChains(name: string, protocol: Protocol): PortChains {
  const hash = shortHash(name + protocol);
  return { svc: `KUBE-SVC-${hash}`, svl: `KUBE-SVL-${hash}`, ext: `KUBE-EXT-${hash}`, fw: `KUBE-FW-${hash}` };
}

/** The part of an endpoint's chain and set that is its own. */
export function endpointHash(name: string, protocol: Protocol, endpoint: Endpoint): string {
  return shortHash(`${name}${protocol}${hostPort(endpoint)}`);
}

export function endpointChain(hash: string): string {
  return `KUBE-SEP-${hash}`;
}

// Stands for the sets' form as well: a set of another form under the same name could not be taken over.
const SET_PREFIX = "tsnet-proxy-";

/** The set of the clients that stay with an endpoint. Both families' sets stand in one list. */
export function affinitySet(family: 4 | 6, hash: string): string {
  return `${SET_PREFIX}${family}-${hash}`;
}

export function isAffinitySet(family: 4 | 6, name: string): boolean {
  return name.startsWith(`${SET_PREFIX}${family}-`);
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export function hostPort({ address, port }: Pick<Endpoint, "address" | "port">): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

const LONGEST_CHAIN = 28;

/** A chain of a dispatch tree: its place in words where that fits a chain's name, else as a hash. */
export function dispatchChain(place: string): string {
  const name = `KUBE-SVC-${place}`;
  return name.length <= LONGEST_CHAIN ? name : `KUBE-SVC-${shortHash(place)}`;
}

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** The first 16 characters of the base32 of the text's SHA-256: 80 bits. */
export function shortHash(text: string): string {
  const bytes = new Bun.CryptoHasher("sha256").update(text).digest();
  let out = "";
  for (let bit = 0; out.length < 16; bit += 5) {
    const at = bit >> 3;
    const window = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    out += BASE32[(window >> (11 - (bit & 7))) & 31];
  }
  return out;
}
