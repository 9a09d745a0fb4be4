/**
 * The networks that random sequences go over: both packet filters, one and two families, a bridge and a veth of one's
 * own, a list and one exec, pools small enough to run dry, published ports.
 *
 * @module
 */

export interface Network {
  readonly name: string;
  /** The plugins of the list, without what the list adds to each. */
  readonly plugins: readonly Readonly<Record<string, unknown>>[];
  /** How many attachments find an address. */
  readonly room: number;
}

const routes = [{ dst: "0.0.0.0/0" }];

export const NETWORKS: readonly [Network, ...Network[]] = [
  {
    name: "small",
    plugins: [
      {
        type: "bridge",
        bridge: "small0",
        isGateway: true,
        ipMasq: true,
        ipMasqBackend: "iptables",
        ipam: { type: "host-local", ranges: [[{ subnet: "10.31.0.0/29" }]], routes },
      },
      { type: "portmap", backend: "iptables", capabilities: { portMappings: true } },
    ],
    room: 5,
  },
  {
    name: "dual",
    plugins: [
      {
        type: "bridge",
        bridge: "dual0",
        isDefaultGateway: true,
        ipMasq: true,
        ipMasqBackend: "nftables",
        hairpinMode: true,
        ipam: { type: "host-local", ranges: [[{ subnet: "10.32.0.0/24" }], [{ subnet: "fd32::/64" }]] },
      },
      { type: "portmap", backend: "nftables", capabilities: { portMappings: true } },
    ],
    room: 250,
  },
  {
    name: "point",
    plugins: [
      {
        type: "ptp",
        ipMasq: true,
        ipMasqBackend: "nftables",
        ipam: { type: "host-local", ranges: [[{ subnet: "10.33.0.0/29" }]], routes },
      },
      { type: "portmap", backend: "iptables", capabilities: { portMappings: true } },
    ],
    room: 5,
  },
  {
    name: "one",
    plugins: [
      {
        type: "tsnet",
        capabilities: { portMappings: true },
        parts: [
          {
            type: "bridge",
            bridge: "one0",
            isGateway: true,
            ipMasq: true,
            ipMasqBackend: "nftables",
            ipam: { type: "host-local", ranges: [[{ subnet: "10.34.0.0/24" }]], routes },
          },
          { type: "portmap", backend: "nftables", capabilities: { portMappings: true } },
        ],
      },
    ],
    room: 250,
  },
];

export const VERSION = "1.1.0";
