import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { EXPECTED } from "../lib/firewalld/cases.ts";
import { sourcesOf, startBus, startFirewalld } from "./firewalld.ts";
import { askFirewalld } from "./firewalld-call.ts";
import { attach, NAMES, protect, remove, routeFromBeyond } from "./firewalled.ts";
import { type Host, TSNET } from "./host.ts";
import { listenIn, matrix } from "./reach.ts";
import { world } from "./world.ts";

let host: Host;

const A1 = { id: "a1", netns: "/run/netns/a1" };
const NETWORK_OF: Readonly<Record<string, string>> = { a1: "net1", a2: "net1", b1: "net2" };
const SOURCES = ["10.11.0.2/32", "fd11::2/128"];

/** Whom a1 reaches, and who reaches a1. */
function reach(): Promise<string> {
  const { a1, beyond } = NAMES;
  return matrix(host, ["a1", "", "beyond"], { a1, beyond, host: NAMES.host });
}

describe("a host with firewalld", () => {
  // It takes its time to start: one for all.
  let stop: () => Promise<void>;
  beforeAll(async () => {
    host = await world();
    await routeFromBeyond(host);
    stop = await startFirewalld(host);
  });
  afterAll(() => host.destroy());
  afterEach(async () => {
    for (const id of ["a1", "a2", "b1"])
      await remove(host, id, { cniVersion: "1.1.0", name: NETWORK_OF[id], type: "firewall" });
    await host.sh("rm -rf /var/lib/cni/networks");
  });

  it("cni row 7: has a container's addresses in the zone until DEL, and again after a reload", async () => {
    const conf = await protect(host, "a1");
    await listenIn(host, ["a1", "beyond", ""]);
    expect(await sourcesOf(host, "trusted")).toEqual(SOURCES);
    expect(await host.run(["nft", "list", "table", "inet", "tsnet"])).toMatchObject({ exitCode: 1 });
    const whole = "a1: beyond host\nhost: a1 beyond\nbeyond:";
    expect(await reach()).toBe(whole);

    for (const putBack of [() => host.run([TSNET, "network", "reload"]), () => host.cni("ADD", "firewall", conf, A1)]) {
      await host.ok(["firewall-cmd", "--reload"]);
      expect(await sourcesOf(host, "trusted")).toEqual([]);
      expect(await host.cni("CHECK", "firewall", conf, A1)).toMatchObject({
        exitCode: 1,
        json: { msg: expect.stringContaining("missing source 10.11.0.2/32 of firewalld's zone trusted; source fd11") },
      });
      expect(await putBack()).toMatchObject({ exitCode: 0 });
      expect(await host.cni("CHECK", "firewall", conf, A1)).toMatchObject({ exitCode: 0, stdout: "" });
    }
    expect(await reach()).toBe(whole);

    await host.ok(["firewall-cmd", "--zone=trusted", "--add-source=192.0.2.7"]);
    const { prevResult: _, ...bare } = conf;
    for (let times = 0; times < 3; times++) {
      const out = await host.cni("DEL", "firewall", bare, { id: "a1", netns: "" });
      expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0, stdout: "" });
    }
    expect(await sourcesOf(host, "trusted")).toEqual(["192.0.2.7"]);
    await host.ok(["firewall-cmd", "--zone=trusted", "--remove-source=192.0.2.7"]);
  });

  it("takes the zone of the config, and says whose a source is that it cannot have", async () => {
    await host.ok(["firewall-cmd", "--zone=work", "--add-source=10.11.0.2/32"]);
    const { out } = await attach(host, "a1", { backend: "firewalld", firewalldZone: "internal" });
    expect(out).toMatchObject({
      exitCode: 1,
      json: { msg: expect.stringMatching(/source 10\.11\.0\.2\/32 is in firewalld's zone work, wanted in internal/) },
    });
    expect(await sourcesOf(host, "internal")).toEqual([]);
    await protect(host, "a2", { backend: "firewalld", firewalldZone: "internal" });
    expect(await sourcesOf(host, "internal")).toEqual(["10.11.0.3/32", "fd11::3/128"]);
    const nowhere = await attach(host, "b1", { backend: "firewalld", firewalldZone: "nowhere" });
    expect(nowhere.out.json).toMatchObject({ code: 7, msg: expect.stringContaining("INVALID_ZONE: nowhere") });
    await host.ok(["firewall-cmd", "--zone=work", "--remove-source=10.11.0.2/32"]);
  });

  it("builds walls of our own, which come back after a reload", async () => {
    const confs = new Map<string, Awaited<ReturnType<typeof protect>>>();
    for (const id of ["a1", "b1"]) confs.set(id, await protect(host, id, { ingressPolicy: "same-bridge" }));
    await listenIn(host, ["a1", "b1"]);
    const { a1, b1 } = NAMES;
    const both = () => matrix(host, ["a1", "b1"], { a1, b1 });
    expect(await both()).toBe("a1:\nb1:");
    await host.ok(["firewall-cmd", "--reload"]);
    await host.ok([TSNET, "network", "reload"]);
    expect(await both()).toBe("a1:\nb1:");
    for (const [id, conf] of confs) {
      expect(await host.cni("CHECK", "firewall", conf, { id, netns: `/run/netns/${id}` })).toMatchObject({
        exitCode: 0,
      });
      await remove(host, id, conf);
    }
    expect(await sourcesOf(host, "trusted")).toEqual([]);
  });

  it("answers as its double in the unit tests does", async () => {
    expect(await askFirewalld(host)).toEqual(EXPECTED);
  });

  it("containers row 32: DEL takes out of the zone what the reference plugin put there", async () => {
    const [source] = SOURCES;
    await host.ok(["firewall-cmd", "--zone=trusted", `--add-source=${source}`]);
    const ips = [{ address: "10.11.0.2/24" }];
    const conf = { cniVersion: "1.0.0", name: "net1", type: "firewall", prevResult: { cniVersion: "1.0.0", ips } };
    expect(await host.cni("DEL", "firewall", conf, A1)).toMatchObject({ exitCode: 0 });
    expect(await sourcesOf(host, "trusted")).toEqual([]);
  });

  it("refuses rules that firewalld would overrule, unless its own zones let the containers through", async () => {
    const { out } = await attach(host, "a1", { backend: "nftables" });
    expect(out.json).toMatchObject({
      msg: expect.stringMatching(
        /inet firewalld filter_FORWARD drops .* backend "firewalld" .*--zone=trusted --add-source=10\.11\.0\.0\/24/,
      ),
    });
    await host.sh("for net in 10.11.0.0/16 fd11::/32; do firewall-cmd --zone=trusted --add-source=$net; done");
    await protect(host, "a2", { backend: "nftables" });
    await host.sh("for net in 10.11.0.0/16 fd11::/32; do firewall-cmd --zone=trusted --remove-source=$net; done");
  });

  it("is in nobody's way when it ends: DEL succeeds", async () => {
    const conf = await protect(host, "a1");
    await stop();
    expect(await host.cni("CHECK", "firewall", conf, A1)).toMatchObject({
      json: { msg: expect.stringContaining("firewalld, which does not run") },
    });
    expect(await host.cni("DEL", "firewall", conf, A1)).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await host.sh("find /run/tsnet -name '*forward*'")).toBe("");
  });
});

describe("a host without firewalld", () => {
  beforeEach(async () => {
    host = await world();
  });
  afterEach(() => host.destroy());

  it.each([
    ["a bus and nobody on it", () => startBus(host)],
    ["no bus at all", async () => {}],
  ])("has it refused, and asked for by nobody does without: %s", async (_, prepare) => {
    await prepare();
    const { out } = await attach(host, "a1", { backend: "firewalld" });
    expect(out).toMatchObject({ exitCode: 1, json: { msg: expect.stringContaining("firewalld") } });
    const status = { cniVersion: "1.1.0", name: "net1", type: "firewall" };
    const asked = await host.cni("STATUS", "firewall", { ...status, backend: "firewalld" }, { ifname: "" });
    expect(asked.json).toMatchObject({ msg: "firewalld does not run: start it, or choose another back end" });
    expect(await host.cni("STATUS", "firewall", status, { ifname: "" })).toMatchObject({ exitCode: 0, stdout: "" });
    await protect(host, "a2");
    expect(await host.ok(["iptables-save"])).toContain("-A TSNET-CONTAINERS -s 10.11.0.3/32");
  });
});
