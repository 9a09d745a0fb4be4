/**
 * The sets and maps of the table: what all services are in, one element each, and what those with affinity have of
 * their own. FINDINGS has why they are flat.
 *
 * Every map of verdicts leads straight to a chain that picks: where one led on to another map, the kernel would check
 * each element of the one with each of the other.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { address, dport, l4proto, type NftExpression, random } from "../../lib/nft/expressions.ts";
import type { NftSetType } from "../../lib/nft/settype.ts";
import type { NftSetName, NftTableName } from "../../lib/nft/specs.ts";
import type { Protocol } from "../objects/objects.ts";

/** What a field of a key says of an element; `pair` is the address once more. */
export type Role = "address" | "protocol" | "port" | "index" | "source" | "pair";

/** What an element has for a value: a chain to go to (or to be dropped), an address with a port. */
export type ValueRole = "verdict" | "endpoint";

/** A set with what its elements mean. */
export interface ProxySet extends NftSetType, NftSetName {
  readonly roles: readonly Role[];
  readonly holds: ValueRole | undefined;
}

export interface ProxySets {
  /** Where connections to an address of a service go. */
  readonly services: ProxySet;
  readonly nodeports: ProxySet;
  readonly endpoints: Readonly<Record<Protocol, ProxySet>>;
  readonly nodeportEndpoints: Readonly<Record<Protocol, ProxySet>>;
  readonly unserved: ProxySet;
  readonly unservedNodeports: ProxySet;
  readonly clusterIPs: ProxySet;
  /** External and load-balancer addresses: nothing is forwarded to them as they are. */
  readonly externals: ProxySet;
  /** Addresses that only some may ask, and who may. */
  readonly ranged: ProxySet;
  readonly ranges: ProxySet;
  /** Each local endpoint as its own client. */
  readonly hairpin: ProxySet;
  readonly learners: ProxySet;
  readonly nodeportLearners: ProxySet;
}

/**
 * Local endpoints stand in the same maps as all, from this index on: so many a service port may have, and what is
 * beyond gets no connections.
 */
export const LOCAL_INDEX = 32768;
const INDEXES = 65536;
// One client more than that has no affinity: a flood of made-up addresses shall not take all memory.
const AFFINITY_CLIENTS = 65536;

export const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "sctp"];

/** `ip tsnet-proxy`, `ip6 tsnet-proxy`. */
export function tableOf(family: Family): NftTableName {
  return { family: family === 4 ? "ip" : "ip6", table: "tsnet-proxy" };
}

/** The sets that are always there. */
export function proxySets(family: Family): ProxySets {
  const daddr = address(family, "daddr");
  const saddr = address(family, "saddr");
  const frontend: Fields = { key: [daddr, l4proto, dport("th")], roles: ["address", "protocol", "port"] };
  const nodeport: Fields = { key: [l4proto, dport("th")], roles: ["protocol", "port"] };
  const make = maker(family);
  const verdicts = (name: string, fields: Fields, comment: string) =>
    make({ name, comment, ...fields, value: "verdict", holds: "verdict" });
  const endpoints = (name: string, fields: (protocol: Protocol) => Fields, comment: string) =>
    byProtocol((protocol) =>
      make({
        name: `${name}-${protocol}`,
        comment,
        ...fields(protocol),
        value: [daddr, dport(protocol)],
        holds: "endpoint",
      }),
    );
  return {
    services: verdicts("services", frontend, "cluster IPs, external and load-balancer addresses"),
    nodeports: verdicts("nodeports", nodeport, "node ports"),
    endpoints: endpoints(
      "endpoints",
      (protocol) => ({ key: [daddr, dport(protocol), random(INDEXES)], roles: ["address", "port", "index"] }),
      `address . port . index : endpoint; local ones from ${LOCAL_INDEX}`,
    ),
    nodeportEndpoints: endpoints(
      "nodeport-endpoints",
      (protocol) => ({ key: [dport(protocol), random(INDEXES)], roles: ["port", "index"] }),
      `node port . index : endpoint; local ones from ${LOCAL_INDEX}`,
    ),
    unserved: verdicts("unserved", frontend, "no endpoints: refused; none on this node where it has to be: dropped"),
    unservedNodeports: verdicts("unserved-nodeports", nodeport, "the same for node ports"),
    clusterIPs: make({ name: "cluster-ips", key: [daddr], roles: ["address"] }),
    externals: make({ name: "externals", ...frontend, comment: "external and load-balancer addresses" }),
    ranged: make({ name: "ranged", ...frontend, comment: "load balancers that only some sources may ask" }),
    ranges: make({
      name: "ranges",
      key: [...frontend.key, saddr],
      roles: [...frontend.roles, "source"],
      flags: ["interval"],
      comment: "and these sources",
    }),
    hairpin: make({
      name: "hairpin",
      key: [saddr, ...frontend.key],
      roles: ["pair", ...frontend.roles],
      comment: "local endpoints that reach themselves by a service",
    }),
    learners: verdicts("learners", frontend, "services with affinity"),
    nodeportLearners: verdicts("nodeport-learners", nodeport, "the same for node ports"),
  };
}

/** All of them, in the order in which they are listed. */
export function listSets(sets: ProxySets): readonly ProxySet[] {
  return Object.values(sets).flatMap((value: ProxySet | Readonly<Record<Protocol, ProxySet>>) =>
    "roles" in value ? [value] : PROTOCOLS.map((protocol) => value[protocol]),
  );
}

/** Endpoints that clients of a service may stay with: who has gone is not learned any more. */
export function membersSet(family: Family, name: string, protocol: Protocol): ProxySet {
  const key = [address(family, "daddr"), dport(protocol)];
  return maker(family)({ name, key, roles: ["address", "port"] });
}

/**
 * From clients to the endpoint's address, of those that have one and the same port: nft 1.0.6 aborts on a rule that
 * learns an IPv6 address together with a port.
 */
export function affinityMap(family: Family, name: string): ProxySet {
  return maker(family)({
    name,
    key: [address(family, "saddr")],
    value: [address(family, "daddr")],
    flags: ["dynamic", "timeout"],
    size: AFFINITY_CLIENTS,
    roles: ["address"],
  });
}

interface Fields {
  readonly key: readonly NftExpression[];
  readonly roles: readonly Role[];
}

function maker(family: Family) {
  const at = tableOf(family);
  return (type: NftSetType & { readonly roles: readonly Role[]; readonly holds?: ValueRole }): ProxySet => ({
    ...at,
    set: type.name,
    holds: undefined,
    ...type,
  });
}

function byProtocol<T>(make: (protocol: Protocol) => T): Readonly<Record<Protocol, T>> {
  return { tcp: make("tcp"), udp: make("udp"), sctp: make("sctp") };
}
