/**
 * The executable and a real etcd: its protocol is in there, and it is let in by certificate and password.
 *
 * @module
 */
import { afterEach, expect, test } from "vitest";
import { Daemon } from "../cluster/daemon.ts";
import { type Etcd, PREFIX, startEtcd } from "../overlay/source/etcd.ts";
import { Host, TSNET } from "./host.ts";
import { eventually } from "./standalone.ts";

let host: Host | undefined;
let etcd: Etcd | undefined;
afterEach(async () => {
  await etcd?.stop();
  await host?.destroy();
});

test.each([
  { what: "client certificate and password", tls: true, user: true },
  { what: "neither", tls: false, user: false },
])("tsnet overlay takes a lease from an etcd that asks for $what, and gives it back", async ({ tls, user }) => {
  host = await Host.create();
  await host.sh(`
    ip link add eth0 type veth peer name eth1
    ip addr add 192.0.2.1/24 dev eth0
    ip link set eth0 up
    ip link set eth1 up
    ip route add default via 192.0.2.254
  `);
  etcd = await startEtcd({ host, tls, user });
  await etcd.put(`${PREFIX}/config`, '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}');
  const argv = [TSNET, "overlay", ...etcd.flags()];
  const agent = new Daemon(host, { name: "agent", netns: "", log: "/run/agent.log", argv });
  await agent.start();
  await eventually(async () => (await leases()).length === 1, "one lease", 10_000);
  const [key = ""] = await leases();
  expect(key).toMatch(/\/subnets\/10\.244\.\d+\.0-24$/);
  expect(await etcd.get(key)).toMatch(/^\{"PublicIP":"192\.0\.2\.1","PublicIPv6":null,"BackendType":"vxlan"/);
  expect(await agent.stop("TERM")).toBe(0);
  expect(await leases()).toEqual([key]);
  await host.ok([TSNET, "overlay", "--cleanup", ...etcd.flags()]);
  expect(await leases()).toEqual([]);
});

async function leases(): Promise<readonly string[]> {
  return (await etcd?.keys(`${PREFIX}/subnets/`)) ?? [];
}
