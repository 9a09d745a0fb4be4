/**
 * What is compared: the lists, for either side, and how much less time than the reference ours may take.
 *
 * @module
 */
import type { CniJson, Container, PluginConf, Side } from "./call.ts";
import { type Row, rowOf, type Series } from "./table.ts";
import type { Member } from "./verify.ts";

export type Backend = "iptables" | "nftables";

export interface Scenario {
  readonly name: string;
  /** In a crowd each container may have a list of its own. */
  readonly list: (side: Side, container?: Container) => readonly PluginConf[];
  /** By what a container's address has to be masqueraded. */
  readonly masquerade?: Backend;
  /** Rules of iptables may name a container whatever the back end: they accept what the host's own would drop. */
  readonly forwards?: boolean;
  /** Whether {@link PORTS} have to be reachable from beyond the host. */
  readonly published?: boolean;
  /** More that has to hold once a container was added. @throws Error */
  readonly more?: (member: Member, result: CniJson) => Promise<void>;
  /** So many containers by so many workers at once; one after the other if undefined. */
  readonly crowd?: { readonly containers: number; readonly workers: number };
  /** Ours over the peer's, at most. */
  readonly targets: { readonly add: number; readonly del: number };
}

/** The ports that a `published` scenario publishes. */
export const PORTS = [
  { hostPort: 8080, containerPort: 80, protocol: "tcp" },
  { hostPort: 5353, containerPort: 53, protocol: "udp" },
] as const;

export const SCENARIOS: readonly Scenario[] = [
  { name: "bridge", list: bridge(), targets: { add: 1.0, del: 0.8 } },
  {
    name: "bridge, ipMasq by iptables",
    list: bridge("iptables"),
    masquerade: "iptables",
    targets: { add: 0.55, del: 0.4 },
  },
  {
    name: "bridge, ipMasq by nftables",
    list: bridge("nftables"),
    masquerade: "nftables",
    targets: { add: 0.4, del: 0.45 },
  },
  {
    name: "bridge and portmap (2 ports), iptables",
    list: withPorts("iptables"),
    masquerade: "iptables",
    published: true,
    targets: { add: 0.3, del: 0.3 },
  },
  {
    name: "bridge and portmap (2 ports), nftables",
    list: withPorts("nftables"),
    masquerade: "nftables",
    published: true,
    targets: { add: 0.3, del: 0.3 },
  },
  {
    name: "60 by 16 workers, ipMasq by iptables",
    list: bridge("iptables"),
    masquerade: "iptables",
    crowd: { containers: 60, workers: 16 },
    targets: { add: 0.5, del: 0.5 },
  },
];

/** The two rows of a scenario. */
export function rowsOf({ name, targets }: Scenario, add: Series, del: Series): readonly Row[] {
  return [rowOf(`${name}: ADD`, add, targets.add), rowOf(`${name}: DEL`, del, targets.del)];
}

/** bridge with host-local; the container's way out is the bridge. */
function bridge(masquerade?: Backend): (side: Side) => readonly PluginConf[] {
  return (side) => [
    {
      type: "bridge",
      bridge: side.bridge,
      isGateway: true,
      ...(masquerade === undefined ? {} : { ipMasq: true, ipMasqBackend: masquerade }),
      ipam: { type: "host-local", subnet: `${side.prefix}.0/24`, routes: [{ dst: "0.0.0.0/0" }] },
    },
  ];
}

/** bridge with masquerade, then portmap with two ports. */
export function withPorts(backend: Backend): (side: Side) => readonly PluginConf[] {
  const portmap: PluginConf = {
    type: "portmap",
    backend,
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings: PORTS },
  };
  return (side) => [...bridge(backend)(side), portmap];
}
