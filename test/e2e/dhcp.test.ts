/** Containers on a bridge whose addresses come from the LAN's DHCP server, by bridge's exec of dhcp and our daemon. */
import { describe, expect, it } from "vitest";
import { DhcpWorld, IMPATIENT, lanConf, type Result, SERVER } from "./dhcp-world.ts";
import { eventually } from "./standalone.ts";

describe.concurrent("a container", () => {
  it(
    "gets what the server says, is checked, and gives its address back",
    DhcpWorld.in(async (world) => {
      const options = [
        "--dhcp-option=6,10.50.0.53",
        "--dhcp-option=15,lan.test",
        "--dhcp-option=119,a.lan.test,lan.test",
      ];
      const server = await world.dnsmasq(...options, "--dhcp-option=33,192.0.2.0,10.50.0.9");
      await world.daemon();
      const request = [{ option: "33" }];
      const conf = lanConf({ request, priority: 50 });
      const before = await world.host.snapshot();
      const result = await world.attach("c1", conf);
      expect(result).toMatchObject({
        ips: [{ address: expect.stringMatching(/^10\.50\.0\.(1\d\d|200)\/24$/), gateway: SERVER }],
        routes: [
          { dst: "192.0.2.0/24", gw: "10.50.0.9", priority: 50 },
          { dst: "0.0.0.0/0", gw: SERVER, priority: 50 },
        ],
        dns: { nameservers: ["10.50.0.53"], domain: "lan.test", search: ["a.lan.test", "lan.test"] },
      });
      const [{ address } = { address: "" }] = result.ips;
      expect(await world.host.ok(["ip", "-n", "c1", "-4", "-br", "addr", "show", "eth0"])).toContain(address);
      expect(await world.host.ok(["ip", "-n", "c1", "route"])).toContain(`default via ${SERVER} dev eth0 metric 50`);
      expect((await world.host.inNetns("c1", ["ping", "-c1", "-W2", SERVER])).exitCode).toBe(0);
      const checked = await world.call("CHECK", "c1", { ...conf, prevResult: result });
      expect(checked).toMatchObject({ exitCode: 0, stdout: "" });
      expect(await world.records()).toBe(1);
      for (let times = 0; times < 2; times++) {
        expect(await world.call("DEL", "c1", conf)).toMatchObject({ exitCode: 0, stdout: "" });
      }
      await server.saying(`DHCPRELEASE(lan1) ${address.split("/")[0]}`);
      await world.host.ok(["ip", "netns", "del", "c1"]);
      // The daemon's socket has no file of its own in the list, and its lock is left out.
      expect(await world.host.snapshot()).toBe(before);
    }),
  );

  it(
    "tells the server what the config provides, also from the caller's arguments",
    DhcpWorld.in(async (world) => {
      const server = await world.dnsmasq();
      await world.daemon();
      const provide = [
        { option: "host-name", fromArg: "K8S_POD_NAME" },
        { option: "vendor-class-identifier", value: "tsnet-test" },
      ];
      await world.attach("c1", lanConf({ provide }), { args: "IgnoreUnknown=1;K8S_POD_NAME=web-0" });
      const log = await server.log();
      expect(log).toContain("client provides name: web-0");
      expect(log).toContain("vendor class: tsnet-test");
      expect(log).toMatch(/requested options: 3:router, 1:netmask, 6:dns-server, *\n?.*15:domain-name/);
      expect(await world.host.ok(["cat", "/run/dnsmasq.leases"])).toContain("00:63:31:2f:6c:61:6e:2f:65:74:68:30");
    }),
  );

  it(
    "gets the classless routes and the MTU that it asks for, in place of the router's",
    DhcpWorld.in(async (world) => {
      await world.dnsmasq("--dhcp-option=121,192.0.2.0/24,10.50.0.9,203.0.113.5/32,0.0.0.0", "--dhcp-option=26,1300");
      await world.daemon();
      const request = [{ option: "121" }, { option: "26" }];
      const { routes } = await world.attach("c1", lanConf({ request }));
      expect(routes).toEqual([
        { dst: "192.0.2.0/24", gw: "10.50.0.9", mtu: 1300 },
        { dst: "203.0.113.5/32", scope: 253, mtu: 1300 },
      ]);
      const set = await world.host.ok(["ip", "-n", "c1", "route"]);
      expect(set).toContain("192.0.2.0/24 via 10.50.0.9 dev eth0 mtu 1300");
      expect(set).toContain("203.0.113.5 dev eth0 scope link mtu 1300");
      expect(set).not.toContain("default");
    }),
  );

  it(
    "on a macvlan gives its address back before the interface goes",
    DhcpWorld.in(async (world) => {
      const server = await world.dnsmasq();
      await world.daemon();
      const netns = await world.host.addNetns("c1");
      const conf = lanConf({}, { type: "macvlan", master: "br0" });
      const call = (verb: string, more: object = {}) =>
        world.host.cni(verb, "macvlan", { ...conf, ...more }, { id: "c1", netns });
      const { exitCode, json } = await call("ADD");
      expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { routes: [{ dst: "0.0.0.0/0", gw: SERVER }] } });
      const address = (json as Result).ips[0]?.address ?? "";
      expect(await world.leases()).toEqual({ c1: address });
      expect(await call("CHECK", { prevResult: json })).toMatchObject({ exitCode: 0, stdout: "" });
      expect(await call("DEL")).toMatchObject({ exitCode: 0, stdout: "" });
      await server.saying(`DHCPRELEASE(lan1) ${address.split("/")[0]}`);
    }),
  );

  it(
    "is answered in the shape of every config version",
    DhcpWorld.in(async (world) => {
      await world.dnsmasq();
      await world.daemon();
      const netns = await world.host.addNetns("c1");
      await world.host.sh("ip link add m0 link br0 netns c1 type macvlan mode bridge");
      for (const cniVersion of ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
        const conf = lanConf({}, { cniVersion });
        const { exitCode, json } = await world.host.cni("ADD", "dhcp", conf, { id: "c1", netns, ifname: "m0" });
        expect({ exitCode, json }).toMatchObject({ exitCode: 0, json: { cniVersion } });
        const key = cniVersion < "0.3.0" ? "ip4" : "ips";
        expect(Object.keys(json as object)).toContain(key);
        expect(Object.keys(json as object)).not.toContain("interfaces");
      }
      // All of them were one lease; the interface, which was down, is up.
      expect(Object.keys(await world.leases())).toEqual(["c1"]);
      expect(await world.host.ok(["ip", "-n", "c1", "link", "show", "m0"])).toContain(",UP");
      expect((await world.host.cni("DEL", "dhcp", lanConf(), { id: "c1", netns, ifname: "m0" })).exitCode).toBe(0);
      expect(await world.leases()).toEqual({});
    }),
  );
});

describe.concurrent("several containers", () => {
  it(
    "have an address each, at once, and GC gives back those of no valid attachment",
    DhcpWorld.in(async (world) => {
      const server = await world.dnsmasq();
      await world.daemon("-pidfile", "/run/dhcp.pid");
      const ids = ["c1", "c2", "c3"];
      const results = await Promise.all(ids.map((id) => world.attach(id)));
      const addresses = results.map(({ ips }) => ips[0]?.address ?? "");
      expect(new Set(addresses).size).toBe(3);
      // Whoever opens sockets in other namespaces leaves none of its threads there.
      const namespaces = await world.host.ok([
        "sh",
        "-c",
        "readlink /proc/$(cat /run/dhcp.pid)/task/*/ns/net | sort -u",
      ]);
      expect(namespaces).toBe(await world.host.ok(["readlink", "/proc/1/ns/net"]));
      expect(await world.leases()).toEqual(Object.fromEntries(ids.map((id, i) => [id, addresses[i]])));
      const gc = (more: object) => world.call("GC", "", lanConf({}, more));
      // Of another network, and without a list: nothing is touched.
      expect(await gc({ name: "other", "cni.dev/valid-attachments": [] })).toMatchObject({ exitCode: 0 });
      expect(await gc({})).toMatchObject({ exitCode: 0 });
      expect(Object.keys(await world.leases()).sort()).toEqual(ids);
      const valid = [{ containerID: "c2", ifname: "eth0" }];
      expect(await gc({ "cni.dev/valid-attachments": valid })).toMatchObject({ exitCode: 0 });
      expect(await world.leases()).toEqual({ c2: addresses[1] });
      for (const address of [addresses[0], addresses[2]]) {
        await server.saying(`DHCPRELEASE(lan1) ${address?.split("/")[0]}`);
      }
      expect(await gc({ "cni.dev/valid-attachments": [] })).toMatchObject({ exitCode: 0 });
      expect(await world.leases()).toEqual({});
      expect(await world.records()).toBe(0);
    }),
  );
});

describe.concurrent("with no server on the LAN", () => {
  it(
    "ADD fails in time, says why, and leaves nothing",
    DhcpWorld.in(async (world) => {
      await world.daemon(...IMPATIENT);
      await world.host.addNetns("c1");
      const before = await world.host.snapshot();
      const began = performance.now();
      const out = await world.call("ADD", "c1");
      expect(out.json).toMatchObject({
        code: 11,
        msg: "no more tries after 2 s: no DHCP server offers an address: no answer",
      });
      expect(performance.now() - began).toBeLessThan(15_000);
      expect(await world.leases()).toEqual({});
      expect(await world.host.snapshot()).toBe(before);
    }),
  );

  it(
    "an ADD that is killed is given up",
    DhcpWorld.in(async (world) => {
      const daemon = await world.daemon();
      await world.host.addNetns("c1");
      await world.host.sh("ip link add m0 link br0 netns c1 type macvlan mode bridge");
      const conf = JSON.stringify(lanConf());
      const env = `CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=m0 CNI_PATH=/x`;
      const plugin = `${import.meta.dirname}/../../dist/cni/dhcp`;
      const call = await world.start(["sh", "-c", `echo '${conf}' | ${env} exec timeout -s KILL 1 ${plugin}`]);
      await eventually(async () => Object.keys(await world.leases()).length === 1, "the daemon is asked");
      await call.end();
      await eventually(async () => Object.keys(await world.leases()).length === 0, "the daemon gave up");
      expect(await daemon.log()).not.toContain("bound");
    }),
  );
});

it(
  "the address that the daemon holds has to be that of the result",
  DhcpWorld.in(async (world) => {
    await world.dnsmasq();
    await world.daemon();
    const result = await world.attach("c1");
    const netns = "/run/netns/c1";
    const check = (prevResult: object) =>
      world.host.cni("CHECK", "dhcp", lanConf({}, { prevResult }), { id: "c1", netns });
    expect(await check(result)).toMatchObject({ exitCode: 0 });
    expect((await check({ ...result, ips: [{ address: "10.50.0.9/24" }] })).json).toMatchObject({
      code: 103,
      msg: `the DHCP lease of c1 eth0 is ${result.ips[0]?.address}, the result has 10.50.0.9/24`,
    });
    await world.host.cni("DEL", "dhcp", lanConf(), { id: "c1", netns });
    expect((await check(result)).json).toMatchObject({
      code: 103,
      msg: "the DHCP daemon holds no lease for c1/lan/eth0",
    });
  }),
);
