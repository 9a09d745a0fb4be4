/**
 * What netavark is told of a container, as podman tells it.
 *
 * @module
 */

/** The host's address on the network. */
export const GATEWAY = "10.201.2.1";

const NETWORK = {
  name: "peer",
  id: "7e".repeat(32),
  driver: "bridge",
  network_interface: "peer0",
  subnets: [{ subnet: "10.201.2.0/24", gateway: GATEWAY }],
  ipv6_enabled: false,
  internal: false,
  ipam_options: { driver: "host-local" },
} as const;

export interface Described {
  readonly id: string;
  /** From 0; its address is of this. */
  readonly number: number;
  /** Whether aardvark-dns answers on the network. */
  readonly dns: boolean;
  readonly ports: readonly { readonly host: number; readonly container: number; readonly protocol: "tcp" | "udp" }[];
}

/** Its standard input, and the address that the container gets by it. */
export function describe({ id, number, dns, ports }: Described): { readonly stdin: string; readonly address: string } {
  const address = `10.201.2.${number + 2}`;
  const text = JSON.stringify({
    container_id: id,
    container_name: id,
    networks: { peer: { interface_name: "eth0", static_ips: [address], aliases: [id] } },
    network_info: { peer: { ...NETWORK, dns_enabled: dns } },
    port_mappings: ports.map(({ host, container, protocol }) => ({
      host_ip: "",
      host_port: host,
      container_port: container,
      range: 1,
      protocol,
    })),
  });
  return { stdin: text, address };
}
