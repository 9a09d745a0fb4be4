/**
 * ptp, static and sbr of ours and of the reference on one host: users switch plugins under running containers.
 */
import { afterEach, describe, expect, it } from "vitest";
import { referencePrograms } from "../cluster/build.ts";
import { add, attach, type Conf, check, containerOf, detach, ptpConf, well } from "./attachments.ts";
import { type Host, PLUGINS } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { BEYOND, HOST, world } from "./world.ts";

let host: Host;
afterEach(() => host.destroy());

/** The reference waits a second or two for its IPv6 addresses: one test with them is enough. */
const IPV4 = { type: "host-local", ranges: [[{ subnet: "10.11.0.0/24" }]], routes: [{ dst: "0.0.0.0/0" }] };

/** A host that has had a container, so that what stays for good is there. */
async function usedHost(conf: Conf): Promise<string> {
  host = await world();
  await attach(host, conf, "first");
  await detach(host, conf, "first");
  await host.ok(["ip", "netns", "del", "first"]);
  await host.addNetns("a");
  return (await referencePrograms()).directory;
}

describe.each(["iptables", "nftables"])("ptp, masqueraded by %s", (ipMasqBackend) => {
  const conf = ptpConf({ cniVersion: "1.0.0", ipMasq: true, ipMasqBackend });

  it("added by the reference is checked and deleted by ours, which leaves the host as before", async () => {
    const path = await usedHost(conf);
    const before = await host.snapshot();
    const result = await add(host, conf, "a", { path });
    // The rules are the reference's own.
    expect(await check(host, { ...conf, ipMasq: false }, result, "a")).toBe("");
    await detach(host, { ...conf, prevResult: result }, "a");
    expect(await host.snapshot()).toBe(before);
  });

  it("added by ours is checked and deleted by the reference, and our GC takes the masquerade, which that does not know", async () => {
    const path = await usedHost(conf);
    const before = await host.snapshot();
    const result = await add(host, conf, "a");
    await well(host.cni("CHECK", "ptp", { ...conf, prevResult: result }, { ...containerOf("a"), path }));
    await detach(host, { ...conf, prevResult: result }, "a", { path });
    expect(await host.sh("ip -o link; ip -o addr; ls /var/lib/cni/networks/net1")).not.toMatch(/veth|10\.11\./);
    await well(host.cni("GC", "ptp", { ...conf, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] }));
    expect(await host.snapshot()).toBe(before);
  });

  it("of both talk to each other and to a machine beyond", async () => {
    const conf = ptpConf({ cniVersion: "1.0.0", ipMasq: true, ipMasqBackend, ipam: IPV4 });
    const path = await usedHost(conf);
    const theirs = await add(host, conf, "a", { path });
    const ours = await attach(host, conf, "b");
    await Promise.all([serve(host, "a", 80, "a"), serve(host, "b", 80, "b"), serve(host, "beyond", 82, "beyond")]);
    const [a, b] = [theirs, ours].map(({ ips }) => ips[0]?.address.split("/")[0] ?? "");
    expect(await ask(host, "a", "tcp", b ?? "", 80)).toBe(`b ${a}`);
    expect(await ask(host, "b", "tcp", a ?? "", 80)).toBe(`a ${b}`);
    for (const id of ["a", "b"]) expect(await ask(host, id, "tcp", BEYOND[4], 82)).toBe(`beyond ${HOST[4]}`);
  });
});

it("the reference's ptp takes addresses from our static and host-local, and ours from its", async () => {
  const addresses = [{ address: "10.11.0.9/24", gateway: "10.11.0.1" }];
  for (const ipam of [IPV4, { type: "static", addresses }]) {
    const conf = ptpConf({ cniVersion: "1.0.0", ipam });
    const reference = await usedHost(conf);
    const before = await host.snapshot();
    for (const [main, other] of [
      [reference, PLUGINS],
      [PLUGINS, reference],
    ] as const) {
      const { type } = ipam;
      const path = "/run/mixed";
      await host.sh(`rm -rf ${path}; mkdir ${path}; cp ${main}/ptp ${path}/ptp; cp ${other}/${type} ${path}/${type}`);
      const result = await add(host, conf, "a", { path });
      expect(await host.ok(["ip", "-n", "a", "-o", "addr"])).toContain(result.ips[0]?.address ?? "none");
      await well(host.cni("CHECK", "ptp", { ...conf, prevResult: result }, { ...containerOf("a"), path }));
      await detach(host, { ...conf, prevResult: result }, "a", { path });
      await host.sh(`rm -rf ${path}`);
      expect(await host.snapshot()).toBe(before);
    }
    await host.destroy();
  }
  host = await world();
});

describe("sbr", () => {
  const NET1 = { ifname: "net1" };
  const rules = () => host.sh("{ ip -n a rule; ip -n a -6 rule; } | grep -vE 'lookup (local|main|default)' || true");

  async function secondInterface(): Promise<Conf> {
    await usedHost(ptpConf());
    await add(host, ptpConf(), "a");
    const ranges = [[{ subnet: "10.12.0.0/24" }]];
    const second = {
      ...{ cniVersion: "1.0.0", name: "net2", type: "bridge", bridge: "br2", isGateway: true },
      ipam: { type: "host-local", ranges },
    };
    const prevResult = await add(host, second, "a", NET1);
    return { cniVersion: "1.0.0", name: "net2", type: "sbr", prevResult };
  }

  it("added by the reference passes our CHECK, and our DEL takes its rules", async () => {
    const conf = await secondInterface();
    const { directory: path } = await referencePrograms();
    await add(host, conf, "a", { ...NET1, path });
    await well(host.cni("CHECK", "sbr", conf, { ...containerOf("a"), ...NET1 }));
    const theirs = await rules();
    expect(theirs).toContain("from 10.12.0.2 lookup 100");
    await detach(host, { ...conf, prevResult: undefined }, "a", NET1);
    expect(await rules()).toBe("");
    await host.ok(["ip", "-n", "a", "link", "del", "net1"]);
  });

  it("added by ours has the same tables, and the reference's DEL takes our rules", async () => {
    const conf = await secondInterface();
    const { directory: path } = await referencePrograms();
    await add(host, conf, "a", NET1);
    expect(await rules()).toContain("from 10.12.0.2 lookup 100");
    expect(await host.sh("ip -n a route show table 100")).toContain("default via 10.12.0.1 dev net1");
    await detach(host, conf, "a", { ...NET1, path });
    expect(await rules()).toBe("");
  });
});
