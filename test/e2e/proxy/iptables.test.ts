/**
 * The iptables back end and the kernel: what it changes, what it notices and what it leaves, with both variants.
 *
 * @module
 */
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { PortRules } from "../../../proxy/table/types.ts";
import { normaliseSave } from "../../lib/iptables/kernel.ts";
import { clusterIP, endpoint, outside, port, random } from "../../proxy/iptables/tables.ts";
import { Host } from "../host.ts";
import { Caller, useVariant } from "./iptables-call.ts";
import { dozen } from "./iptables-services.ts";

const VARIANTS = ["nft", "legacy"] as const;

/** Twelve services, or none that matter: what a service's own test adds is beside them. */
const TABLE = dozen(4);
const web = port("test/web", [clusterIP("10.96.9.9"), outside("nodePort", { port: 31000 })], {
  endpoints: [endpoint("10.244.1.20:80*"), endpoint("10.244.2.20:80")],
});
const sticky: PortRules = { ...web, name: "test/sticky", frontends: [clusterIP("10.96.9.10")], affinitySeconds: 100 };

let host: Host;
beforeEach(async () => {
  host = await Host.create();
});
afterEach(() => host.destroy());

describe.each(VARIANTS)("iptables-%s", (variant) => {
  beforeEach(() => useVariant(host, variant));
  const iptables = `iptables-${variant}`;
  const save = () => host.ok([`${iptables}-save`]);
  const dump = async () => normaliseSave(await save());
  const sets = async () => (await host.ok(["ipset", "list", "-name"])).split("\n").filter(Boolean).sort();

  test.each([4, 6] as const)("after many changes the rules are those of a fresh build, IPv%i", async (family) => {
    const dumpAll = async () => normaliseSave(await host.ok([`${family === 4 ? "ip" : "ip6"}tables-${variant}-save`]));
    const services: Record<string, readonly PortRules[]> = { ...dozen(family).services };
    const pool = Object.entries(dozen(family).services);
    const next = random(family);
    {
      await using caller = await Caller.open(host, { family });
      await caller.call({ do: "replace", table: dozen(family) });
      for (let round = 0; round < 40; round++) {
        const changes: Record<string, readonly PortRules[] | null> = {};
        for (let n = 0; n < 4; n++) changes[`x/${Math.floor(next() * 60)}`] = randomService(family, next);
        for (const [name, rules] of pool) if (next() < 0.1) changes[name] = next() < 0.5 ? null : rules;
        for (const [name, rules] of Object.entries(changes)) {
          if (rules === null) delete services[name];
          else services[name] = named(name, rules);
        }
        await caller.call({
          do: "update",
          services: Object.fromEntries(
            Object.entries(changes).map(([name, rules]) => [name, rules && named(name, rules)]),
          ),
        });
      }
      expect(await caller.call({ do: "audit" })).toEqual([]);
      expect(await caller.call({ do: "intact" })).toBe(true);
      await expect.poll(sets).toEqual(namedSets(await dumpAll()));
    }
    const changed = await dumpAll();
    await using fresh = await Caller.open(host, { family });
    await fresh.call({ do: "remove" });
    expect(await sets()).toEqual([]);
    // The jump to KUBE-FIREWALL stays, and would stand behind the others now.
    await host.sh(`${iptables} -F INPUT; ${iptables} -F OUTPUT`);
    await fresh.call({ do: "replace", table: { ...dozen(family), services } });
    expect(await dumpAll()).toBe(changed);
  });

  test("a restart takes over what is there, and sweeps what is not wanted any more, the real proxy's too", async () => {
    await host.ok([`${iptables}-restore`, "--noflush"], { stdin: REAL });
    {
      await using caller = await Caller.open(host);
      expect(await caller.call({ do: "present" })).toBe(true);
      await caller.call({ do: "replace", table: TABLE });
      await caller.call({ do: "update", services: { "test/web": [web] } });
    }
    await using caller = await Caller.open(host);
    await caller.call({ do: "replace", table: TABLE });
    expect(await caller.call({ do: "audit" })).not.toEqual([]);
    await caller.call({ do: "sweep" });
    expect(await caller.call({ do: "audit" })).toEqual([]);
    const text = await save();
    expect(text).not.toContain("KUBE-SEP-AAAAAAAAAAAAAAAA");
    expect(text).not.toContain("test/web");
    expect(text).toContain(":SOMEBODY-ELSES ");
    expect(text.match(/-A PREROUTING .*KUBE-SERVICES/g)).toHaveLength(1);
  });

  test("a stale chain that somebody else's rule jumps to keeps no other, and is no damage", async () => {
    const chains = Array.from({ length: 7 }, (_, i) => `KUBE-SVC-STALE${i}`);
    const made = chains.map((chain) => `:${chain} - [0:0]\n-A ${chain} -j KUBE-MARK-MASQ\n`).join("");
    const stdin = `*nat\n:KUBE-MARK-MASQ - [0:0]\n:SOMEBODY-ELSES - [0:0]\n${made}-A SOMEBODY-ELSES -j KUBE-SVC-STALE3\n-A SOMEBODY-ELSES -j KUBE-MARK-MASQ\nCOMMIT\n`;
    await host.ok([`${iptables}-restore`, "--noflush"], { stdin });
    await using caller = await Caller.open(host);
    await caller.call({ do: "replace", table: TABLE });
    await caller.call({ do: "sweep" });
    expect((await save()).match(/KUBE-SVC-STALE.*/g)).toEqual([
      expect.stringMatching(/^KUBE-SVC-STALE3 - /),
      "KUBE-SVC-STALE3",
    ]);
    expect(await caller.call({ do: "audit" })).toEqual([]);
    await caller.call({ do: "removeAll", variant, family: 4 });
    const left = (await save()).match(/(?<=^:)KUBE-\S+/gm)?.sort();
    expect(left).toEqual(["KUBE-FIREWALL", "KUBE-IPTABLES-HINT", "KUBE-MARK-MASQ", "KUBE-SVC-STALE3"]);
  });

  test("nothing but what differs is written (row 5)", async () => {
    await using caller = await Caller.open(host);
    await caller.call({ do: "replace", table: TABLE });
    const same = TABLE.services["shop/three"] ?? [];
    expect(await caller.call({ do: "update", services: { "shop/three": same } })).toEqual({
      written: 0,
      changed: false,
    });
    const fewer = same.map((rules) => ({ ...rules, endpoints: rules.endpoints.slice(1) }));
    expect(await caller.call({ do: "update", services: { "shop/three": fewer } })).toEqual({
      written: 2,
      changed: true,
    });
  });

  test("what a change cannot bring because somebody flushed, the next one brings whole", async () => {
    await using caller = await Caller.open(host);
    await caller.call({ do: "replace", table: TABLE });
    await host.sh(`${iptables} -t nat -F; ${iptables} -t nat -X`);
    expect(await caller.call({ do: "intact" })).toBe(false);
    // It loses its endpoints here, so that filter is changed before nat fails.
    const lost = { ...web, name: "shop/node-port", endpoints: [], local: [], served: false };
    const broken = caller.call({ do: "update", services: { "shop/node-port": [lost], "test/web": [web] } });
    await expect(broken).rejects.toThrow(/there is no chain|refused|tables-restore/);
    await caller.call({ do: "update", services: {} });
    expect(await caller.call({ do: "audit" })).toEqual([]);
    expect(await save()).toContain("test/web");
  });

  test.each([
    ["the nat table is flushed", `${iptables} -t nat -F`],
    ["the filter table is flushed", `${iptables} -F`],
    ["all chains are gone", `for t in nat filter mangle; do ${iptables} -t $t -F; ${iptables} -t $t -X; done`],
    ["a jump is gone", `${iptables} -t nat -D OUTPUT 1`],
    ["a refusal is gone", `${iptables} -D KUBE-SERVICES 1`],
  ])("%s: seen at a glance, and put right", async (_what, script) => {
    await using caller = await Caller.open(host);
    await caller.call({ do: "replace", table: TABLE });
    const before = await dump();
    expect(await caller.call({ do: "intact" })).toBe(true);
    await host.sh(script);
    expect(await caller.call({ do: "intact" })).toBe(false);
    await caller.call({ do: "replace", table: TABLE });
    expect(await caller.call({ do: "intact" })).toBe(true);
    expect((await dump()).replace(":KUBE-IPTABLES-HINT -\n", "")).toBe(before.replace(":KUBE-IPTABLES-HINT -\n", ""));
  });

  test("rules of others neither alarm nor go", async () => {
    await using caller = await Caller.open(host);
    await caller.call({ do: "replace", table: TABLE });
    await host.sh(
      `${iptables} -t nat -N MINE; ${iptables} -t nat -A MINE -j RETURN; ${iptables} -t nat -I PREROUTING -j MINE`,
    );
    await host.sh(
      `${iptables} -I FORWARD -j ACCEPT; ${iptables} -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP`,
    );
    expect(await caller.call({ do: "intact" })).toBe(true);
    expect(await caller.call({ do: "audit" })).toEqual([]);
    await caller.call({ do: "sweep" });
    await caller.call({ do: "remove" });
    const left = await save();
    expect(left).toContain("-A PREROUTING -j MINE");
    expect(left).toContain("-A FORWARD -j ACCEPT");
  });

  test("an audit names what is missing, too much and different (row 14)", async () => {
    await using caller = await Caller.open(host);
    await caller.call({ do: "replace", table: TABLE });
    const rules = (await save()).split("\n");
    const [three = ""] = /KUBE-SVC-\S+/.exec(rules.find((line) => line.includes("shop/three cluster IP")) ?? "") ?? [];
    const [fw = ""] = /KUBE-FW-\S+/.exec(rules.find((line) => line.startsWith("-A KUBE-FW-")) ?? "") ?? [];
    await host.sh(`
      ${iptables} -t nat -D ${three} 2
      ${iptables} -t nat -A ${fw} -j RETURN
      ${iptables} -t nat -N KUBE-SEP-STALE
      ${iptables} -t nat -X KUBE-SVC-tsnet-proxy
      ${iptables} -t mangle -X KUBE-PROXY-CANARY
      ${iptables} -D FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
      ${iptables} -F KUBE-FIREWALL`);
    expect(await caller.call({ do: "audit" }).then((found) => (Array.isArray(found) ? found.sort() : found))).toEqual([
      "filter chain FORWARD does not jump to KUBE-FORWARD",
      "filter chain KUBE-FIREWALL does not drop what comes from elsewhere to 127.0.0.0/8",
      "mangle chain KUBE-PROXY-CANARY is missing",
      `nat chain ${fw} has other rules than were put there (4, not 3)`,
      "nat chain KUBE-SEP-STALE is left over",
      `nat chain ${three} has other rules than were put there (2, not 3)`,
      "nat chain KUBE-SVC-tsnet-proxy is missing",
    ]);
    await caller.call({ do: "replace", table: TABLE });
    await caller.call({ do: "sweep" });
    expect(await caller.call({ do: "audit" })).toEqual([]);
  });

  test("removing leaves KUBE-FIREWALL alone, which is kubelet's too", async () => {
    await using caller = await Caller.open(host);
    await caller.call({ do: "replace", table: TABLE });
    expect(await sets()).toHaveLength(2);
    await caller.call({ do: "remove" });
    expect(await caller.call({ do: "present" })).toBe(false);
    expect((await dump()).replace("*mangle\n:KUBE-IPTABLES-HINT -\nCOMMIT\n", "")).toBe(
      `*filter
:INPUT ACCEPT
:KUBE-FIREWALL -
:OUTPUT ACCEPT
-A INPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A OUTPUT -j KUBE-FIREWALL
COMMIT
`,
    );
    expect(await sets()).toEqual([]);
    await caller.call({ do: "remove" });
  });

  test("removing leaves a real kube-proxy that took over what it has; told so, all goes", async () => {
    await using caller = await Caller.open(host);
    await caller.call({ do: "replace", table: TABLE });
    // It empties what it knows, writes its own, and takes our mark and chains for stale services of its own.
    const stale = (await save()).match(/(?<=^:)KUBE-(?:SVC|SVL|SEP|EXT|FW)-\S+/gm) ?? [];
    const reset = stale.map((chain) => `:${chain} - [0:0]\n`).join("");
    const gone = stale.map((chain) => `-X ${chain}\n`).join("");
    await host.ok([`${iptables}-restore`, "--noflush"], {
      stdin: REAL.replace("*nat\n", `*nat\n${reset}`).replace("#\n", gone),
    });
    await caller.call({ do: "remove" });
    expect(await save()).toContain("-j KUBE-SEP-AAAAAAAAAAAAAAAA");
    expect(await sets()).toEqual([]);
    await caller.call({ do: "removeAll", variant, family: 4 });
    expect((await save()).replaceAll("KUBE-FIREWALL", "").replace(":KUBE-IPTABLES-HINT", "")).not.toContain("KUBE-");
    expect(await save()).toContain(":SOMEBODY-ELSES ");
  });

  test("clients stay with their endpoints over a restart, and are forgotten with the service", async () => {
    const withSticky = { ...TABLE, services: { ...TABLE.services, "test/sticky": [sticky] } };
    const first = await Caller.open(host);
    await first.call({ do: "replace", table: TABLE });
    const before = await sets();
    await first.call({ do: "replace", table: withSticky });
    await first.close();
    const [set = ""] = (await sets()).filter((name) => !before.includes(name));
    await host.sh(`ipset add ${set} 10.9.9.9 timeout 100`);
    await using caller = await Caller.open(host);
    await caller.call({ do: "replace", table: withSticky });
    expect(await host.sh(`ipset list ${set}`)).toContain("10.9.9.9");
    await caller.call({ do: "update", services: { "test/sticky": null } });
    await caller.call({ do: "update", services: { "test/sticky": [sticky] } });
    expect(await host.sh(`ipset list ${set}`)).not.toContain("10.9.9.9");
    await caller.call({ do: "update", services: { "test/sticky": null } });
    await expect.poll(sets).toHaveLength(2);
    expect(await caller.call({ do: "limited" })).toBe(false);
  });

  test("without ipset affinity is xt_recent's, and the log says what that means", async () => {
    await using caller = await Caller.open(host, {}, await pathWithout("ipset"));
    await caller.call({ do: "replace", table: TABLE });
    expect(caller.warnings).toEqual([
      expect.stringMatching(/^session affinity remembers 100 clients an endpoint .* ipset .* is missing, install/),
    ]);
    expect(await caller.call({ do: "limited" })).toBe(true);
    expect(await save()).toMatch(
      /-A KUBE-SVC-C6YCYWI3VSGSBIFB -m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-/,
    );
    expect(await caller.call({ do: "audit" })).toEqual([]);
    await caller.call({ do: "update", services: { "test/sticky": [sticky] } });
    await caller.call({ do: "update", services: { "test/sticky": null } });
    expect(await caller.call({ do: "audit" })).toEqual([]);
    await caller.call({ do: "remove" });
  });

  test("--dry-run's text is what would be put in place, and putting it together changes nothing", async () => {
    await using caller = await Caller.open(host);
    const before = await dump();
    const text = await caller.call({ do: "render", table: TABLE });
    expect(await dump()).toBe(before);
    await caller.call({ do: "replace", table: TABLE });
    const wanted = await dump();
    await caller.call({ do: "remove" });
    await host.sh(`${iptables} -F INPUT; ${iptables} -F OUTPUT; for s in $(${iptables}-save | true); do :; done`);
    await host.sh(
      "for set in tsnet-proxy-4-GIHUPDD35QQR67BE tsnet-proxy-4-ODPNXBZLYFBAHZLO; do ipset create $set hash:ip timeout 0; done",
    );
    await host.ok([`${iptables}-restore`, "--noflush"], { stdin: String(text) });
    expect(await dump()).toBe(wanted);
  });
});

test("a lock that is held is waited for, and then the change fails whole and can be made again (row 7)", async () => {
  await useVariant(host, "legacy");
  await using caller = await Caller.open(host);
  await caller.call({ do: "replace", table: TABLE });
  await host.sh("mkfifo /run/gate");
  const holder = host.spawn(["flock", "/run/xtables.lock", "sh", "-c", "echo held; read line </run/gate"]);
  await holder.stdout.getReader().read();
  await expect(caller.call({ do: "update", services: { "test/web": [web] } })).rejects.toThrow(
    /xtables lock: try again/,
  );
  const waiting = caller.call({ do: "update", services: { "test/web": [web] } });
  await host.sh("echo >/run/gate");
  await waiting;
  await holder.exited;
  expect(await caller.call({ do: "audit" })).toEqual([]);
});

test.each([
  ["legacy", "kubelet's chains are in both", "iptables-nft -t mangle -N KUBE-KUBELET-CANARY"],
  ["legacy", "service rules are in iptables-nft, while kubelet", "iptables-nft -t nat -N KUBE-SERVICES"],
  ["nft", "service rules are in iptables-legacy, while kubelet", "ip6tables-legacy -t nat -N KUBE-SERVICES"],
] as const)("kubelet uses %s: refused, as %s (row 8)", async (variant, reason, script) => {
  await useVariant(host, variant);
  await host.sh(script);
  const caller = new Caller(host);
  onTestFinished(() => caller.close());
  await expect(Caller.open(host)).rejects.toThrow(reason);
});

test("rules that this iptables cannot read are refused, with the reason (row 8)", async () => {
  await useVariant(host, "nft");
  await host.sh(
    "iptables-nft -t nat -A PREROUTING -j RETURN; nft add rule ip nat PREROUTING ip saddr 10.0.0.1 fib daddr type local counter",
  );
  await using caller = await Caller.open(host);
  await expect(caller.call({ do: "replace", table: TABLE })).rejects.toThrow(
    /cannot read, made by nft or a newer iptables/,
  );
});

/** A folder of the programs that iptables' back end may want, all but one. */
async function pathWithout(program: string): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "path-"));
  onTestFinished(() => rm(path, { recursive: true }));
  for (const name of ["iptables", "ip6tables"]) {
    for (const end of ["", "-nft", "-legacy", "-nft-restore", "-legacy-restore", "-nft-save", "-legacy-save"]) {
      await symlink(`/usr/sbin/${name}${end}`, join(path, `${name}${end}`));
    }
  }
  if (program !== "ipset") await symlink("/usr/sbin/ipset", join(path, "ipset"));
  return path;
}

/** A service somewhere, somehow; or none. */
function randomService(family: 4 | 6, next: () => number): readonly PortRules[] | null {
  const number = (below: number) => Math.floor(next() * below);
  if (number(5) === 0) return null;
  const at = (network: number, n: number) => (family === 4 ? `10.${network}.${n}.1` : `fd00:10:${network}::${n + 1}`);
  const policy = number(3) === 0 ? "Local" : "Cluster";
  const endpoints = Array.from({ length: number(4) }, () => ({
    address: at(244, number(250)),
    port: 80,
    local: number(2) === 0,
  }));
  const unique = endpoints.filter(({ address }, n) => endpoints.findIndex((other) => other.address === address) === n);
  return [
    port("", [clusterIP(at(96, 0), 80, number(4) === 0 ? "Local" : "Cluster"), outside("nodePort", { policy })], {
      endpoints: unique,
      ...(number(4) === 0 ? { affinitySeconds: 60 } : {}),
    }),
  ];
}

/** Gives a service its name, and addresses that no other has. */
function named(name: string, rules: readonly PortRules[]): readonly PortRules[] {
  const [, digits] = /^x\/(\d+)$/.exec(name) ?? [];
  if (digits === undefined) return rules;
  const n = Number(digits);
  return rules.map((each) => ({
    ...each,
    name,
    frontends: each.frontends.map((frontend) => ({
      ...frontend,
      address:
        frontend.address === ""
          ? ""
          : frontend.address.replace(
              /(\.0\.1|::1)$/,
              frontend.address.includes(":") ? `::${n + 1000}` : `.${n + 10}.1`,
            ),
      port: frontend.address === "" ? 31000 + n : frontend.port,
    })),
  }));
}

/** The sets that rules name. */
function namedSets(save: string): readonly string[] {
  return [...new Set(save.match(/tsnet-proxy-\S+/g) ?? [])].sort();
}

/** What a real kube-proxy leaves for one service, and a chain of somebody else's. */
const REAL = `*filter
:KUBE-SERVICES - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
COMMIT
*nat
:SOMEBODY-ELSES - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]
:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]
-A KUBE-SERVICES -m comment --comment "old/web cluster IP" -m tcp -p tcp -d 10.96.77.1 --dport 80 -j KUBE-SVC-AAAAAAAAAAAAAAAA
-A KUBE-SVC-AAAAAAAAAAAAAAAA -m comment --comment "old/web -> 10.244.7.7:80" -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A KUBE-SEP-AAAAAAAAAAAAAAAA -m comment --comment old/web -s 10.244.7.7 -j KUBE-MARK-MASQ
-A KUBE-SEP-AAAAAAAAAAAAAAAA -m comment --comment old/web -m tcp -p tcp -j DNAT --to-destination 10.244.7.7:80
#
COMMIT
`;
