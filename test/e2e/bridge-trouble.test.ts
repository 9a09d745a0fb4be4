import { afterEach, expect, it } from "vitest";
import { halfMadeGroup } from "../../lib/plugin/identity.ts";
import { type CniOutput, type Host, PLUGINS } from "./host.ts";
import { bridgeConf, world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

const A = { id: "a", netns: "/run/netns/a" };

async function well(output: Promise<CniOutput>): Promise<CniOutput> {
  const out = await output;
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
  return out;
}

it("of several ADDs of one attachment at a time one wins, and the others take nothing of it away", async () => {
  host = await world();
  await host.addNetns("a");
  const conf = bridgeConf({ ipMasq: true, ipMasqBackend: "nftables" });
  for (let round = 0; round < 5; round++) {
    const outs = await Promise.all([1, 2, 3, 4].map(() => host.cni("ADD", "bridge", conf, A)));
    const [winner, ...others] = outs.filter((out) => out.exitCode === 0);
    expect(others).toEqual([]);
    for (const out of outs.filter((one) => one.exitCode !== 0)) expect(out.stdout).toContain("already exists");
    await well(host.cni("CHECK", "bridge", { ...conf, prevResult: winner?.json }, A));
    await well(host.cni("DEL", "bridge", conf, A));
  }
});

it("DEL after an ADD that failed because another network has the interface leaves that network's be", async () => {
  host = await world();
  await host.addNetns("a");
  await well(host.cni("ADD", "bridge", bridgeConf(), A));
  const inside = await host.ok(["ip", "-n", "a", "-o", "addr", "show", "scope", "global"]);
  const other = bridgeConf({ name: "net2" });
  expect((await host.cni("ADD", "bridge", other, A)).exitCode).not.toBe(0);
  await well(host.cni("DEL", "bridge", other, A));
  expect(await host.ok(["ip", "-n", "a", "-o", "addr", "show", "scope", "global"])).toBe(inside);
});

it("DEL after an ADD that was refused the name lo has nothing to do", async () => {
  host = await world();
  await host.addNetns("a");
  const lo = { ...A, ifname: "lo" };
  expect((await host.cni("ADD", "bridge", bridgeConf(), lo)).stdout).toContain("(lo) already exists");
  await well(host.cni("DEL", "bridge", bridgeConf(), lo));
});

it("GC takes what a killed ADD left on a shared bridge of its own network only", async () => {
  host = await world();
  await host.addNetns("a");
  const conf = { ...bridgeConf({ cniVersion: "1.1.0" }), "cni.dev/valid-attachments": [] };
  await well(host.cni("ADD", "bridge", bridgeConf(), A));
  await host.sh(`
    ip link add half0 type veth; ip link set half0 group ${halfMadeGroup("net2")} master br0
  `);
  await well(host.cni("GC", "bridge", conf));
  await host.ok(["ip", "link", "show", "half0"]);
  await well(host.cni("GC", "bridge", { ...conf, name: "net2" }));
  expect((await host.run(["ip", "link", "show", "half0"])).exitCode).not.toBe(0);
});

it("names of 200 characters are no obstacle to ADD, CHECK, GC and DEL", async () => {
  host = await world();
  await host.addNetns("a");
  await well(host.cni("ADD", "bridge", bridgeConf(), A));
  await well(host.cni("DEL", "bridge", bridgeConf(), A));
  const before = await host.snapshot();
  const long = { id: `c${"y".repeat(199)}`, netns: A.netns };
  const conf = bridgeConf({ name: `n${"x".repeat(199)}`, ipMasq: true, cniVersion: "1.1.0" });
  const { json } = await well(host.cni("ADD", "bridge", conf, long));
  await well(host.cni("CHECK", "bridge", { ...conf, prevResult: json }, long));
  await well(host.cni("DEL", "bridge", conf, long));
  expect(await host.snapshot()).toBe(before);
  await well(host.cni("ADD", "bridge", conf, long));
  await well(host.cni("GC", "bridge", { ...conf, "cni.dev/valid-attachments": [] }));
  expect(await host.snapshot()).toBe(before);
});

it("ADD does without the sysctls that a read-only /proc/sys refuses, and says which", async () => {
  host = await world();
  await host.addNetns("a");
  await host.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
  await host.sh("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys");
  const out = await well(host.cni("ADD", "bridge", bridgeConf(), A));
  expect(out.stderr).toContain("net.ipv4.conf.eth0.arp_notify stays as it is: /proc/sys is read-only");
  await host.ok(["ip", "netns", "exec", "a", "busybox", "ping", "-c1", "-W2", "10.11.0.1"]);
  await well(host.cni("DEL", "bridge", bridgeConf(), A));
});

it("DEL and GC work by a config that ADD would refuse today", async () => {
  host = await world();
  await host.addNetns("a");
  await well(host.cni("ADD", "bridge", bridgeConf(), A));
  await well(host.cni("DEL", "bridge", bridgeConf(), A));
  const before = await host.snapshot();
  const refused = bridgeConf({ hairpinMode: true, promiscMode: true, mtu: "big", cniVersion: "1.1.0" });
  await well(host.cni("ADD", "bridge", bridgeConf(), A));
  await well(host.cni("DEL", "bridge", refused, { ...A, args: "UNKNOWN=1" }));
  expect(await host.snapshot()).toBe(before);
  await well(host.cni("ADD", "bridge", bridgeConf(), A));
  await well(host.cni("GC", "bridge", { ...refused, "cni.dev/valid-attachments": [] }));
  expect(await host.snapshot()).toBe(before);
});

it.each(["iptables", "nftables"])("DEL takes %s' masquerade away though the config has none any more", async (back) => {
  host = await world();
  await host.addNetns("a");
  const conf = bridgeConf({ ipMasq: true, ipMasqBackend: back });
  await well(host.cni("ADD", "bridge", conf, A));
  await well(host.cni("DEL", "bridge", conf, A));
  const before = await host.snapshot();
  await well(host.cni("ADD", "bridge", conf, A));
  await well(host.cni("DEL", "bridge", bridgeConf(), A));
  expect(await host.snapshot()).toBe(before);
});

it.each([
  ["iptables", "iptables -t nat -F; iptables -t nat -X; iptables -F; ip6tables -t nat -F; ip6tables -t nat -X"],
  ["nftables", "nft flush ruleset"],
])("ADD and DEL succeed while somebody flushes all rules again and again, with %s", async (backend, flush) => {
  host = await world();
  await host.addNetns("a");
  const conf = bridgeConf({ ipMasq: true, ipMasqBackend: backend });
  const portMappings = ["tcp", "udp"].map((protocol) => ({ hostPort: 8080, containerPort: 80, protocol }));
  const portmap = { cniVersion: "1.0.0", name: "net1", type: "portmap", backend, runtimeConfig: { portMappings } };
  host.spawn(["sh", "-c", `while :; do ${flush}; done 2>/dev/null`]);
  for (let round = 0; round < 6; round++) {
    const { json } = await well(host.cni("ADD", "bridge", conf, A));
    await well(host.cni("ADD", "portmap", { ...portmap, prevResult: json }, A));
    await well(host.cni("DEL", "portmap", { ...portmap, prevResult: json }, A));
    await well(host.cni("DEL", "bridge", conf, A));
  }
});

it("a route of somebody's IPAM to the container's own subnet stays on the link, so the default route works", async () => {
  host = await world();
  await host.addNetns("a");
  const routes = [{ dst: "0.0.0.0/0" }, { dst: "192.0.2.0/24" }, { dst: "10.11.0.0/24" }];
  const result = { cniVersion: "1.0.0", ips: [{ address: "10.11.0.5/24" }], routes };
  const script = `#!/bin/sh\n[ "$CNI_COMMAND" != ADD ] || cat <<'END'\n${JSON.stringify(result)}\nEND\n`;
  const path = "/run/plugins";
  await host.ok(
    ["sh", "-ec", `mkdir ${path}; cp -a ${PLUGINS}/. ${path}; cat >${path}/fixed; chmod +x ${path}/fixed`],
    {
      stdin: script,
    },
  );
  const conf = bridgeConf({ ipam: { type: "fixed" } });
  await well(host.cni("ADD", "bridge", conf, { ...A, path }));
  const table = await host.ok(["ip", "-n", "a", "route"]);
  expect(table).toContain("default via 10.11.0.1 dev eth0");
  expect(table).toContain("192.0.2.0/24 via 10.11.0.1 dev eth0");
  expect(table).toMatch(/^10\.11\.0\.0\/24 dev eth0 /m);
});
