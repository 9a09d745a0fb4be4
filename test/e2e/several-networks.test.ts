/**
 * One container on several networks, each of which has a default route for it.
 */
import { afterEach, expect, it } from "vitest";
import { Host } from "./host.ts";

let host: Host;
afterEach(() => host.destroy());

const ROUTES = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }, { dst: "192.168.7.7/16" }];

function conf(type: string, n: number): Record<string, unknown> {
  const ranges = [[{ subnet: `10.2${n}.0.0/24` }], [{ subnet: `fd2${n}::/64` }]];
  const ipam = { type: "host-local", ranges, routes: ROUTES };
  const keys = { bridge: `br${n}`, isGateway: true, master: "m0" };
  return { cniVersion: "1.0.0", name: `net${n}`, type, ...keys, ipam };
}

async function call(verb: string, plugin: string, more: { readonly n: number; readonly prevResult?: unknown }) {
  const { n, ...rest } = more;
  const base = conf(plugin === "sbr" ? "bridge" : plugin, n);
  const out = await host.cni(
    verb,
    plugin,
    { ...base, type: plugin, ...rest },
    { netns: "/run/netns/c1", ifname: `eth${n}` },
  );
  expect(out, out.stdout).toMatchObject({ exitCode: 0 });
  return out.json;
}

const shown = () => host.sh("ip -n c1 route; ip -n c1 -6 route | grep -v fe80");

it.each(["bridge", "ptp", "macvlan"])("the first one's routes outlive the second (%s)", async (type) => {
  host = await Host.create();
  await host.sh("ip link add m0 type veth peer name p0; ip link set m0 up; ip link set p0 up");
  await host.addNetns("c1");
  const prevResult = await call("ADD", type, { n: 1 });
  const before = await shown();
  await call("ADD", type, { n: 2 });
  expect(await shown()).toMatch(/^default via 10.22.0.1 dev eth2 \ndefault via 10.21.0.1 dev eth1 \n/);
  const way = async (to: string) => host.sh(`ip -n c1 -o route get ${to}`);
  expect([await way("203.0.113.1"), await way("2001:db8::1")]).toEqual([
    expect.stringContaining("dev eth2"),
    expect.stringContaining("dev eth2"),
  ]);
  await call("CHECK", type, { n: 1, prevResult });
  await call("DEL", type, { n: 2 });
  expect(await shown()).toBe(before);
});

it("sbr gives the second its own table, and leaves the first one's default route", async () => {
  host = await Host.create();
  await host.addNetns("c1");
  await call("ADD", "bridge", { n: 1 });
  const before = await shown();
  const prevResult = await call("ADD", "bridge", { n: 2 });
  await call("ADD", "sbr", { n: 2, prevResult });
  expect(await shown()).toBe(before);
  const { stdout } = await host.run(["ip", "-n", "c1", "route", "show", "table", "100"]);
  expect(stdout).toContain("default via 10.22.0.1 dev eth2");
});
