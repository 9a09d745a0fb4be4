/**
 * The lists that are compared, for either side.
 *
 * @module
 */
import type { PluginConf, Side } from "./call.ts";

export type Backend = "iptables" | "nftables";

export interface Scenario {
  readonly name: string;
  readonly list: (side: Side) => readonly PluginConf[];
  /** By what a container's address has to be masqueraded. */
  readonly masquerade?: Backend;
  /** Whether {@link PORTS} have to be reachable from beyond the host. */
  readonly published?: boolean;
  /** Ours over the peer's, at most. */
  readonly targets: { readonly add: number; readonly del: number };
}

/** The ports that {@link withPorts} publishes. */
export const PORTS = [
  { hostPort: 8080, containerPort: 80, protocol: "tcp" },
  { hostPort: 5353, containerPort: 53, protocol: "udp" },
] as const;

/** bridge with host-local; the container's way out is the bridge. */
export function bridge(masquerade?: Backend): (side: Side) => readonly PluginConf[] {
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
