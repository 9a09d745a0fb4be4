/**
 * Containers with published ports on a test host: bridge, then portmap, as a runtime calls them.
 *
 * @module
 */
import { expect } from "vitest";
import type { CniOutput, Host } from "./host.ts";
import { bridgeConf } from "./world.ts";

export interface Port {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
  readonly hostIP?: string;
}

export const tcp = (hostPort: number, hostIP?: string): Port => port(hostPort, "tcp", hostIP);
export const udp = (hostPort: number, hostIP?: string): Port => port(hostPort, "udp", hostIP);

/** How a container is attached; what is not told is as {@link bridgeConf} has it. */
export interface Attached {
  readonly ports: readonly Port[];
  /** Keys of the portmap plugin: `backend`, `snat`. */
  readonly portmap?: Readonly<Record<string, unknown>>;
  readonly bridge?: Readonly<Record<string, unknown>>;
  readonly ifname?: string;
}

/** Makes a namespace `id` and attaches it; the portmap call may fail, and is returned with its config. */
export async function attach(host: Host, id: string, how: Attached): Promise<{ conf: PortmapConf; out: CniOutput }> {
  const { ifname = "eth0" } = how;
  const netns = `/run/netns/${id}`;
  if (ifname === "eth0") await host.addNetns(id);
  const bridge = bridgeConf(how.bridge);
  const result = await host.cni("ADD", "bridge", bridge, { id, netns, ifname });
  expect(result, result.stdout + result.stderr).toMatchObject({ exitCode: 0 });
  const conf = {
    cniVersion: "1.1.0",
    name: String(bridge.name),
    type: "portmap",
    ...how.portmap,
    runtimeConfig: { portMappings: how.ports },
    prevResult: result.json as object,
  };
  return { conf, out: await host.cni("ADD", "portmap", conf, { id, netns, ifname }) };
}

export interface PortmapConf extends Readonly<Record<string, unknown>> {
  readonly name: string;
  readonly runtimeConfig: { readonly portMappings: readonly Port[] };
  readonly prevResult: object;
}

/** The same, and portmap has to succeed. */
export async function publish(host: Host, id: string, how: Attached): Promise<PortmapConf> {
  const { conf, out } = await attach(host, id, how);
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
  return conf;
}

/** Calls DEL of portmap, then of bridge; both have to succeed in silence. */
export async function remove(host: Host, id: string, conf: PortmapConf, how: Partial<Attached> = {}): Promise<void> {
  const { ifname = "eth0" } = how;
  const call = { id, netns: `/run/netns/${id}`, ifname };
  for (const [plugin, config] of [
    ["portmap", conf],
    ["bridge", bridgeConf(how.bridge)],
  ] as const) {
    const out = await host.cni("DEL", plugin, config, call);
    expect(out, plugin + out.stdout + out.stderr).toMatchObject({ exitCode: 0, stdout: "" });
  }
}

function port(hostPort: number, protocol: string, hostIP: string | undefined): Port {
  return { hostPort, containerPort: 80, protocol, ...(hostIP === undefined ? {} : { hostIP }) };
}
