/** What becomes of a lease in time: renewal, rebinding, refusal, its end, and a daemon that is killed meanwhile. */
import { describe, expect, it } from "vitest";
import { DhcpWorld, lanConf } from "./dhcp-world.ts";
import { eventually } from "./standalone.ts";

const plain = (address: string | undefined) => address?.split("/")[0] ?? "";

/** How often a text stands in a log. */
const times = (log: string, text: string) => log.split(text).length - 1;

describe.concurrent("a lease", () => {
  it(
    "is renewed at T1, time and again, asking the server itself",
    DhcpWorld.in(async (world) => {
      const server = await world.udhcpd();
      const daemon = await world.daemon();
      const { ips } = await world.attach("c1");
      await eventually(
        async () => times(await server.log(), `sending ACK to ${plain(ips[0]?.address)}`) >= 3,
        "renewed twice",
      );
      expect(times(await server.log(), "sending OFFER")).toBe(1);
      expect(await daemon.log()).toMatch(
        /INFO renewed of=c1\/lan\/eth0 address=10\.50\.0\.\d+\/24 server=10\.50\.0\.1/,
      );
      expect(await world.leases()).toEqual({ c1: ips[0]?.address });
    }),
  );

  it(
    "is rebound at T2 by a server that took the other's place",
    DhcpWorld.in(async (world) => {
      const t = ["--dhcp-option=option:T1,2", "--dhcp-option=option:T2,4", "--dhcp-authoritative"];
      const server = await world.dnsmasq(...t);
      const daemon = await world.daemon();
      const { ips } = await world.attach("c1");
      await server.end("KILL");
      await world.host.sh("ip -n lan addr flush dev lan1; ip -n lan addr add 10.50.0.2/24 dev lan1");
      const other = await world.dnsmasq(...t);
      await daemon.saying(/INFO renewed .*server=10\.50\.0\.2/);
      expect(await daemon.log()).toContain(
        `server 10.50.0.1 does not answer: asking any for ${plain(ips[0]?.address)}`,
      );
      expect(await other.log()).toContain(`DHCPACK(lan1) ${plain(ips[0]?.address)}`);
      expect(await other.log()).not.toContain("DHCPDISCOVER");
      expect(await world.leases()).toEqual({ c1: ips[0]?.address });
    }),
  );

  it(
    "that a server refuses and gives to nobody is lost when it ends: the interface is down, CHECK says so",
    DhcpWorld.in(async (world) => {
      const server = await world.udhcpd({ seconds: 7 });
      const daemon = await world.daemon();
      const result = await world.attach("c1");
      const address = result.ips[0]?.address;
      await server.end("KILL");
      // Authoritative, it refuses what is not in its range.
      await world.dnsmasq("--dhcp-authoritative");
      await daemon.saying(`${plain(address)} was refused: asking for it anew`);
      await daemon.saying(/server 10\.50\.0\.1 offers 10\.50\.0\.1\d\d instead of/);
      expect(await world.host.ok(["ip", "-n", "c1", "link", "show", "eth0"])).toContain(",UP");
      await daemon.saying("lost: the interface is taken down");
      const shown = () => world.host.ok(["ip", "-n", "c1", "link", "show", "eth0"]);
      await eventually(async () => !(await shown()).includes("UP"), "the interface is down");
      const why = `the lease of ${address} ended, and no server gave it again`;
      const checked = await world.call("CHECK", "c1", lanConf({}, { prevResult: result }));
      expect(checked.json).toMatchObject({ code: 103, msg: why });
      expect(await world.leases()).toEqual({ c1: why });
      expect(await world.call("DEL", "c1")).toMatchObject({ exitCode: 0 });
      expect(await world.records()).toBe(0);
    }),
  );

  it(
    "is forgotten when its interface is gone without a word, and DEL with the namespace gone succeeds",
    DhcpWorld.in(async (world) => {
      await world.udhcpd();
      const daemon = await world.daemon();
      await Promise.all([world.attach("c1"), world.attach("c2")]);
      await world.host.sh("ip netns del c1; ip -n c2 link del eth0");
      await daemon.saying(/gone: the lease is forgotten of=c1/);
      await daemon.saying(/gone: the lease is forgotten of=c2/);
      expect(await world.leases()).toEqual({});
      expect(await world.records()).toBe(0);
      expect(await world.call("DEL", "c1")).toMatchObject({ exitCode: 0 });
    }),
  );

  it(
    "of an interface that was made anew is not the old one's",
    DhcpWorld.in(async (world) => {
      await world.dnsmasq();
      const daemon = await world.daemon();
      const { ips } = await world.attach("c1");
      await world.host.sh("ip netns del c1");
      const again = await world.attach("c1");
      // The server knows the client by its id, whatever its interface.
      expect(again.ips).toEqual(ips);
      expect(times(await daemon.log(), "INFO bound of=c1")).toBe(2);
      expect(await world.leases()).toEqual({ c1: ips[0]?.address });
    }),
  );

  it(
    "of a namespace that is gone is given back from the host, where that reaches the server",
    DhcpWorld.in(async (world) => {
      const server = await world.dnsmasq();
      await world.daemon();
      await world.host.ok(["ip", "addr", "add", "10.50.0.254/24", "dev", "br0"]);
      const { ips } = await world.attach("c1");
      await world.host.ok(["ip", "netns", "del", "c1"]);
      expect(await world.call("DEL", "c1")).toMatchObject({ exitCode: 0 });
      await server.saying(`DHCPRELEASE(lan1) ${plain(ips[0]?.address)}`);
      expect(await world.host.ok(["cat", "/run/dnsmasq.leases"])).toBe("");
    }),
  );
});

describe.concurrent("a daemon that was killed", () => {
  it(
    "goes on where it was when it is started again",
    DhcpWorld.in(async (world) => {
      const server = await world.udhcpd({ renewal: 2 });
      const first = await world.daemon();
      const result = await world.attach("c1");
      const address = result.ips[0]?.address;
      await first.end("KILL");
      const second = await world.daemon();
      expect(await second.log()).toContain("INFO going on of=c1/lan/eth0");
      expect(await world.leases()).toEqual({ c1: address });
      expect(await world.call("CHECK", "c1", lanConf({}, { prevResult: result }))).toMatchObject({ exitCode: 0 });
      await second.saying("INFO renewed of=c1");
      expect(times(await server.log(), "sending OFFER")).toBe(1);
      expect(await world.call("DEL", "c1")).toMatchObject({ exitCode: 0 });
      await second.saying("INFO released of=c1");
      expect(await world.records()).toBe(0);
    }),
  );

  it(
    "gives up a lease in the end, and at once one whose interface is gone",
    DhcpWorld.in(async (world) => {
      const server = await world.udhcpd({ seconds: 5 });
      const first = await world.daemon();
      await Promise.all([world.attach("c1"), world.attach("c2")]);
      await first.end("KILL");
      await server.end("KILL");
      await world.host.ok(["ip", "netns", "del", "c2"]);
      const second = await world.daemon();
      expect(await second.log()).toContain("gone: the lease is forgotten of=c2");
      await second.saying("lost: the interface is taken down of=c1");
      expect(await world.host.ok(["ip", "-n", "c1", "link", "show", "eth0"])).not.toContain("UP");
      expect(Object.keys(await world.leases())).toEqual(["c1"]);
      expect(await world.records()).toBe(1);
    }),
  );
});
