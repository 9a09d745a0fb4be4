/**
 * A test host on a network of its own: `m0` is its link there, `lan` another machine on it, and containers get
 * addresses of that network.
 *
 * @module
 */
import { expect } from "vitest";
import { type CniOptions, Host } from "./host.ts";

/** The other machine's addresses. */
export const LAN = { 4: "10.40.0.254", 6: "fd40::fe" } as const;

export interface Result {
  readonly cniVersion: string;
  readonly interfaces: readonly {
    readonly name: string;
    readonly mac: string;
    readonly mtu?: number;
    readonly sandbox?: string;
  }[];
  readonly ips?: readonly { readonly address: string; readonly gateway?: string; readonly interface: number }[];
  readonly routes?: readonly object[];
  readonly dns?: object;
}

/** The link m0 is up without an address, and the host's default route leads by another one, `up0`. */
export async function lan(): Promise<Host> {
  const host = await Host.create();
  await host.addNetns("lan");
  await host.sh(`
    ip link add m0 type veth peer name m1 netns lan; ip link set m0 up
    ip -n lan addr add ${LAN[4]}/24 dev m1; ip -n lan addr add ${LAN[6]}/64 dev m1 nodad; ip -n lan link set m1 up
    ip link add up0 type veth peer name up1; ip link set up1 up; ip link set up0 up
    ip addr add 192.168.60.1/24 dev up0; ip route add default via 192.168.60.2
  `);
  return host;
}

/** Addresses from host-local, with a default route; dual-stack where `v6`. */
export function hostLocal(v6 = false): object {
  const v4 = [{ subnet: "10.40.0.0/24", rangeStart: "10.40.0.10", gateway: LAN[4] }];
  return {
    type: "host-local",
    ranges: v6 ? [v4, [{ subnet: "fd40::/64", gateway: LAN[6] }]] : [v4],
    routes: [{ dst: "0.0.0.0/0" }, ...(v6 ? [{ dst: "::/0" }] : [])],
  };
}

/** Adds an interface to a new container and returns the result. */
export async function attach(
  host: Host,
  plugin: string,
  conf: object,
  options: CniOptions & { readonly id: string },
): Promise<Result> {
  const netns = await host.addNetns(options.id);
  const out = await host.cni("ADD", plugin, conf, { netns, ...options });
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
  return out.json as Result;
}

/** The message of a call that fails; empty if it does not. */
export async function fault(
  host: Host,
  verb: string,
  plugin: string,
  conf: object,
  options: CniOptions = {},
): Promise<string> {
  const id = options.id ?? "a";
  const out = await host.cni(verb, plugin, conf, { id, netns: `/run/netns/${id}`, ...options });
  if (out.exitCode === 0) return "";
  const { code, msg } = out.json as { code: number; msg: string };
  return `${code} ${msg}`;
}

/** What a link in a container shows, as `ip -d -j link show` tells it. */
export async function shown(host: Host, netns: string, name: string): Promise<Record<string, unknown>> {
  const [link] = JSON.parse(await host.ok(["ip", "-n", netns, "-d", "-j", "link", "show", name]));
  return link;
}
