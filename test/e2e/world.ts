/**
 * A test host with somebody beyond it: `beyond` is a machine on the host's other side that knows no way to
 * container networks, so it can answer only what was masqueraded.
 *
 * @module
 */
import { Host } from "./host.ts";

/** The host's addresses towards {@link BEYOND}. */
export const HOST = { 4: "192.168.50.1", 6: "fd50::1" } as const;
/** The machine beyond. */
export const BEYOND = { 4: "192.168.50.2", 6: "fd50::2" } as const;

export async function world(): Promise<Host> {
  const host = await Host.create();
  await host.addNetns("beyond");
  await host.sh(`
    ip link add up0 type veth peer name up1 netns beyond
    ip addr add ${HOST[4]}/24 dev up0; ip addr add ${HOST[6]}/64 dev up0 nodad; ip link set up0 up
    ip -n beyond addr add ${BEYOND[4]}/24 dev up1; ip -n beyond addr add ${BEYOND[6]}/64 dev up1 nodad; ip -n beyond link set up1 up
  `);
  return host;
}

/** A dual-stack bridge network on host-local. */
export function bridgeConf(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    cniVersion: "1.0.0",
    name: "net1",
    type: "bridge",
    bridge: "br0",
    isDefaultGateway: true,
    ipam: { type: "host-local", ranges: [[{ subnet: "10.11.0.0/24" }], [{ subnet: "fd11::/64" }]] },
    ...more,
  };
}
