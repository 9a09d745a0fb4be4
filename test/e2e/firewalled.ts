/**
 * Containers behind the firewall plugin on a test host: two bridge networks of two containers each, as a runtime
 * attaches them.
 *
 * @module
 */
import { expect } from "vitest";
import type { CniOutput, Host } from "./host.ts";
import { BEYOND, bridgeConf, HOST } from "./world.ts";

export interface FirewallConf extends Record<string, unknown> {
  readonly prevResult: unknown;
}

/** The networks, by the letter that their containers begin with. */
const NETWORKS = {
  a: { name: "net1", bridge: "br0", subnets: ["10.11.0.0/24", "fd11::/64"] },
  b: { name: "net2", bridge: "br1", subnets: ["10.12.0.0/24", "fd12::/64"] },
} as const;

/** Where everybody is. The first container of a network has `.2`. */
export const NAMES = {
  a1: { 4: "10.11.0.2", 6: "fd11::2" },
  a2: { 4: "10.11.0.3", 6: "fd11::3" },
  b1: { 4: "10.12.0.2", 6: "fd12::2" },
  b2: { 4: "10.12.0.3", 6: "fd12::3" },
  host: HOST,
  beyond: BEYOND,
} as const;

export const PLACES = ["a1", "a2", "b1", "b2", "", "beyond"] as const;

/** Makes a namespace, attaches it to its bridge and calls the firewall plugin, which may fail. */
export async function attach(
  host: Host,
  id: string,
  firewall: Readonly<Record<string, unknown>> = {},
  bridge: Readonly<Record<string, unknown>> = {},
): Promise<{ conf: FirewallConf; out: CniOutput }> {
  const netns = await host.addNetns(id);
  const added = await host.cni("ADD", "bridge", bridgeOf(id, bridge), { id, netns });
  expect(added, added.stdout + added.stderr).toMatchObject({ exitCode: 0 });
  const { name } = networkOf(id);
  const conf = { cniVersion: "1.1.0", name, type: "firewall", ...firewall, prevResult: added.json };
  return { conf, out: await host.cni("ADD", "firewall", conf, { id, netns }) };
}

/** As {@link attach}, and well. */
export async function protect(
  host: Host,
  id: string,
  firewall: Readonly<Record<string, unknown>> = {},
  bridge: Readonly<Record<string, unknown>> = {},
): Promise<FirewallConf> {
  const { conf, out } = await attach(host, id, firewall, bridge);
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0, json: conf.prevResult as object });
  return conf;
}

/** DEL of both plugins, the last first, and the namespace with them. */
export async function remove(host: Host, id: string, conf: Readonly<Record<string, unknown>>): Promise<void> {
  for (const [plugin, config] of [
    ["firewall", conf],
    ["bridge", bridgeOf(id)],
  ] as const) {
    const out = await host.cni("DEL", plugin, config, { id, netns: `/run/netns/${id}` });
    expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0, stdout: "" });
  }
  await host.run(["ip", "netns", "del", id]);
}

/** Whoever is beyond knows the way to the containers. Returns when it answers. */
export async function routeFromBeyond(host: Host): Promise<void> {
  const routes = Object.values(NETWORKS).map(
    ({ subnets: [four, six] }) =>
      `ip -n beyond route add ${four} via ${HOST[4]}; ip -n beyond -6 route add ${six} via ${HOST[6]}`,
  );
  // A link-local address cannot be used while it is new, and is what neighbours are asked with.
  await host.sh(`
    ${routes.join("\n")}
    until ip netns exec beyond ping -q -c 1 -W 1 ${HOST[6]} && [ -z "$(ip -6 addr show dev up0 tentative)" ]; do sleep 0.05; done
  `);
}

/** A host whose FORWARD drops what nobody accepts. */
export async function dropForward(host: Host): Promise<void> {
  await host.sh("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP");
}

function bridgeOf(id: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const { name, bridge, subnets } = networkOf(id);
  const ranges = subnets.map((subnet) => [{ subnet }]);
  return bridgeConf({ cniVersion: "1.1.0", name, bridge, ipam: { type: "host-local", ranges }, ...more });
}

function networkOf(id: string) {
  return id.startsWith("b") ? NETWORKS.b : NETWORKS.a;
}
