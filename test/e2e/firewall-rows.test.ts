import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { attach, dropForward, NAMES, protect, remove, routeFromBeyond } from "./firewalled.ts";
import { type CniOutput, type Host, PLUGINS } from "./host.ts";
import { listenIn, matrix } from "./reach.ts";
import { bridgeConf, world } from "./world.ts";

let host: Host;
beforeEach(async () => {
  host = await world();
});
afterEach(() => host.destroy());

const A1 = { id: "a1", netns: "/run/netns/a1" };
const { a1, a2, b1, beyond } = NAMES;
const REFERENCE = `${import.meta.dirname}/reference-1.9.1`;

async function well(call: Promise<CniOutput>): Promise<void> {
  const out = await call;
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
}
const message = (json: unknown) => (json as { msg: string }).msg;

describe("the firewall plugin", () => {
  it.each(["iptables", "nftables"])(
    "keeps containers of an isolated bridge apart where br_netfilter sees nothing, on %s",
    async (backend) => {
      await host.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0");
      for (const id of ["a1", "a2"]) await protect(host, id, { backend, ingressPolicy: "isolated" });
      await listenIn(host, ["a1", "a2", ""]);
      const names = { a1, a2, host: NAMES.host };
      expect(await matrix(host, ["a1", "a2", ""], names)).toBe("a1: host\na2: host\nhost: a1 a2");
    },
  );

  it("walls only bridges that have a policy: who has none reaches all", async () => {
    await protect(host, "a1");
    await protect(host, "b1", { ingressPolicy: "same-bridge" });
    await listenIn(host, ["a1", "b1"]);
    expect(await matrix(host, ["a1", "b1"], { a1, b1 })).toBe("a1: b1\nb1: a1");
  });

  it("lets published ports in where FORWARD drops, to containers with any policy", async () => {
    await dropForward(host);
    const conf = await protect(host, "a1", { ingressPolicy: "isolated" });
    const portMappings = [{ hostPort: 8080, containerPort: 7000, protocol: "tcp" }];
    const { prevResult } = conf;
    const portmap = { cniVersion: "1.1.0", name: "net1", type: "portmap", runtimeConfig: { portMappings }, prevResult };
    await well(host.cni("ADD", "portmap", portmap, A1));
    await routeFromBeyond(host);
    await listenIn(host, ["a1"]);
    const answer = await host.sh("ip netns exec beyond curl -s --http0.9 -m 3 http://192.168.50.1:8080/");
    expect(answer).toBe("here");
    expect(await matrix(host, ["beyond"], { a1, beyond })).toBe("beyond:");
  });

  it("works where ip6tables is missing, as long as no address of IPv6 is asked for", async () => {
    await host.sh(`mkdir -p /run/.sbin/upper /run/.sbin/work
      mount -t overlay overlay -o lowerdir=/usr/sbin,upperdir=/run/.sbin/upper,workdir=/run/.sbin/work /usr/sbin
      rm /usr/sbin/ip6tables*`);
    const ipam = { type: "host-local", ranges: [[{ subnet: "10.11.0.0/24" }]] };
    const netns = await host.addNetns("a1");
    const added = await host.cni("ADD", "bridge", bridgeConf({ cniVersion: "1.1.0", ipam }), { id: "a1", netns });
    const before = await host.snapshot();
    const conf = { cniVersion: "1.1.0", name: "net1", type: "firewall", backend: "iptables", prevResult: added.json };
    for (const verb of ["ADD", "CHECK"]) await well(host.cni(verb, "firewall", conf, A1));
    expect(await host.ok(["iptables-save"])).toContain("-A TSNET-CONTAINERS -s 10.11.0.2/32");
    for (let times = 0; times < 3; times++) await well(host.cni("DEL", "firewall", conf, A1));
    expect(await host.snapshot()).toBe(before);
  });

  it("cni row 9: accepts where the other iptables drops, whatever its own back end is", async () => {
    await host.sh("for v in iptables ip6tables; do $v-legacy -P FORWARD DROP; $v-nft -P FORWARD DROP; done");
    await routeFromBeyond(host);
    const conf = await protect(host, "a1", { backend: "nftables" });
    await protect(host, "b1", { backend: "iptables" });
    await listenIn(host, ["a1", "b1", "beyond"]);
    expect(await matrix(host, ["a1", "b1"], { a1, b1, beyond })).toBe("a1: b1 beyond\nb1: a1 beyond");
    await host.sh("iptables-legacy -F FORWARD");
    const out = await host.cni("CHECK", "firewall", conf, A1);
    expect(message(out.json)).toContain("missing iptables -t filter -A FORWARD -j TSNET-CONTAINERS");
  });

  it("cni row 21: CHECK sees a FORWARD that began to drop elsewhere after ADD, and ADD mends it", async () => {
    const conf = await protect(host, "a1", { backend: "nftables" });
    await host.sh("iptables -t nat -A POSTROUTING -j ACCEPT");
    await well(host.cni("CHECK", "firewall", conf, A1));
    await dropForward(host);
    const out = await host.cni("CHECK", "firewall", conf, A1);
    expect(message(out.json)).toContain("missing iptables -t filter -A FORWARD -j TSNET-CONTAINERS");
    await well(host.cni("ADD", "firewall", conf, A1));
    await well(host.cni("CHECK", "firewall", conf, A1));
  });

  it("containers row 1: stops before any change where a chain of somebody's drops, and says what to add", async () => {
    await host.sh(`nft add table inet guard
      nft 'add chain inet guard fw { type filter hook forward priority 0; policy drop; }'`);
    const { out, conf } = await attach(host, "a1", { backend: "iptables" });
    expect(message(out.json)).toContain(
      'nftables chain inet guard fw drops what is forwarded to and from br0 (policy drop), and no other table can overrule it; add to it: nft insert rule inet guard fw iifname "br0" accept',
    );
    expect(await host.ok(["iptables-save"])).not.toContain("TSNET");
    await remove(host, "a1", conf);
  });

  it("containers row 32: DEL removes what the reference plugin left of a container, and the last one all of it", async () => {
    const before = await host.snapshot();
    await host.sh(
      `iptables-restore < ${REFERENCE}/iptables-firewall; ip6tables-restore < ${REFERENCE}/ip6tables-firewall`,
    );
    const conf = (last: number) => ({
      cniVersion: "1.0.0",
      name: "net1",
      type: "firewall",
      prevResult: { cniVersion: "1.0.0", ips: [{ address: `10.11.0.${last}/24` }, { address: `fd11::${last}/64` }] },
    });
    await well(host.cni("DEL", "firewall", conf(2), { id: "c1" }));
    const left = await host.sh("iptables-save; ip6tables-save");
    expect(left).not.toMatch(/10\.11\.0\.2|fd11::2/);
    expect(left).toMatch(/-A CNI-FORWARD -s 10\.11\.0\.3[\s\S]*CNI-ISOLATION-STAGE-2[\s\S]*-A CNI-FORWARD -s fd11::3/);
    await well(host.cni("DEL", "firewall", conf(3), { id: "c2" }));
    expect(await host.snapshot()).toBe(before);
  });

  it("containers row 32: GC knows them by what the reference's bridge and portmap left", async () => {
    await host.sh(`
      iptables-restore < ${REFERENCE}/iptables; ip6tables-restore < ${REFERENCE}/ip6tables
      iptables-restore --noflush < ${REFERENCE}/iptables-firewall; ip6tables-restore --noflush < ${REFERENCE}/ip6tables-firewall`);
    const conf = { cniVersion: "1.1.0", name: "net1", type: "firewall" };
    const valid = { "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }] };
    await well(host.cni("GC", "firewall", { ...conf, ...valid }, { ifname: "" }));
    const left = await host.sh("iptables-save -t filter; ip6tables-save -t filter");
    expect(left).not.toMatch(/10\.11\.0\.2\/|fd11::2\//);
    expect(left).toMatch(/-A CNI-FORWARD -s 10\.11\.0\.3[\s\S]*-A CNI-FORWARD -s fd11::3/);
  });

  it("refuses what it cannot do before anything is touched", async () => {
    const prevResult = { cniVersion: "1.0.0", interfaces: [], ips: [{ address: "10.11.0.2/24" }] };
    const inside = { ...prevResult, interfaces: [{ name: "eth0", sandbox: "/run/netns/a1" }] };
    await host.addNetns("a1");
    const conf = { cniVersion: "1.0.0", name: "net1", type: "firewall", prevResult };
    const refusals: readonly (readonly [object, number, RegExp])[] = [
      [{ cniVersion: "0.3.1" }, 1, /incompatible CNI versions/],
      [{ prevResult: undefined }, 6, /missing prevResult from earlier plugin/],
      [{ backend: "ipfw" }, 7, /unrecognized backend "ipfw", allowed are "iptables", "nftables", "firewalld"/],
      [{ backend: 7 }, 6, /backend in the network config must be a string/],
      [{ ingressPolicy: "closed" }, 7, /unknown ingress policy: "closed"/],
      [{ ingressPolicy: "isolated" }, 7, /needs to be the bridge for ingress policy "isolated", and there is none/],
      [{ ingressPolicy: "same-bridge", prevResult: inside }, 7, /and it is eth0 inside the container/],
      [{ iptablesAdminChainName: "A B" }, 7, /iptablesAdminChainName is "A B"/],
      [{ iptablesAdminChainName: "FORWARD" }, 7, /iptablesAdminChainName is FORWARD, which is not an administrator's/],
      [{ iptablesAdminChainName: "TSNET-WALLS" }, 7, /choose another/],
      [{ firewalldZone: "../x" }, 7, /firewalldZone is "\.\.\/x"/],
    ];
    for (const [more, code, said] of refusals) {
      const out = await host.cni("ADD", "firewall", { ...conf, ...more }, A1);
      expect([out.json, message(out.json)]).toEqual([expect.objectContaining({ code }), expect.stringMatching(said)]);
    }
    expect(await host.sh("iptables-save; nft list tables; ls /run/tsnet 2>/dev/null || true")).not.toMatch(
      /TSNET|tsnet|forward/,
    );
  });

  it("answers VERSION with the versions that have a result to hand on", async () => {
    const out = await host.run([`${PLUGINS}/firewall`], { env: { CNI_COMMAND: "VERSION" } });
    expect(JSON.parse(out.stdout)).toMatchObject({ supportedVersions: ["0.4.0", "1.0.0", "1.1.0"] });
  });

  it.each(["0.4.0", "1.0.0", "1.1.0"])(
    "hands the result on unchanged in version %s, from a config in any case of letters",
    async (cniVersion) => {
      const netns = await host.addNetns("a1");
      const added = await host.cni("ADD", "bridge", bridgeConf({ cniVersion }), { id: "a1", netns });
      const conf = {
        CNIVersion: cniVersion,
        Name: "net1",
        type: "firewall",
        BackEnd: "nftables",
        INGRESSPOLICY: "isolated",
        prevResult: added.json,
      };
      const out = await host.cni("ADD", "firewall", conf, A1);
      expect(out.json).toEqual(added.json);
      expect(await host.ok(["nft", "list", "table", "inet", "tsnet"])).toContain("walls inside br0");
      for (let times = 0; times < 3; times++) await well(host.cni("DEL", "firewall", conf, A1));
    },
  );
});
