/**
 * What may go wrong around the daemon, and what becomes of it.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Host, PROJECT } from "../host.ts";
import { clusterIPOf, Daemon, Directory, MODES, type Mode, node, rulesOf, runToEnd, service, until } from "./daemon.ts";

let host: Host;
let manifests: Directory;

beforeEach(async () => {
  host = await Host.create();
  manifests = await Directory.create();
  await manifests.write("node", node());
  await manifests.write("web", ...service({ name: "web", n: 10, endpoints: [2, 3] }));
});
afterEach(async () => {
  await host.destroy();
  await manifests[Symbol.asyncDispose]();
});

const start = (mode: Mode, env: Readonly<Record<string, string>> = {}, ...flags: readonly string[]) =>
  new Daemon(host, ["--proxy-mode", mode, "--manifests", manifests.path, ...flags], env);

/** A folder of programs that come before the host's own. */
const shadow = async (name: string, script: string) => {
  await host.sh(
    `mkdir -p /run/shadow && cat > /run/shadow/${name} <<'END'\n#!/bin/sh\n${script}\nEND\nchmod +x /run/shadow/${name}`,
  );
  return { PATH: `/run/shadow:${process.env.PATH}` };
};

let client = 4000;
/** Tracks a flow of a client of its own. */
const flow = (proto: string, to: string, port: number, by: string) => {
  const from = String(++client);
  return host.ok([
    ...["conntrack", "-I", "-p", proto, "--timeout", "600", ...(proto === "tcp" ? ["--state", "ESTABLISHED"] : [])],
    ...["--orig-src", "10.9.0.1", "--orig-dst", to, "--orig-port-src", from, "--orig-port-dst", String(port)],
    ...["--reply-src", by, "--reply-dst", "10.9.0.1", "--reply-port-src", "8080", "--reply-port-dst", from],
  ]);
};
/** How many of them there are. */
const flows = async () =>
  (await host.run(["conntrack", "-L"])).stdout.match(/^(?:tcp|udp) .*src=10\.9\.0\.1/gm)?.length ?? 0;

describe.each(MODES)("%s", (mode) => {
  const DAMAGE: Readonly<Record<Mode, readonly (readonly [string, string])[]>> = {
    nftables: [
      ["everything is flushed", "nft flush ruleset"],
      ["our table is deleted", "nft delete table ip tsnet-proxy"],
      ["our chains are flushed", "nft flush table ip tsnet-proxy"],
      ["an element is deleted", `nft delete element ip tsnet-proxy services '{ ${clusterIPOf(10)} . tcp . 80 }'`],
    ],
    iptables: [
      ["everything is flushed", "nft flush ruleset"],
      ["the nat table is flushed", "iptables -t nat -F"],
      ["the filter table is flushed", "iptables -F"],
      ["chains are flushed and deleted", "iptables -t nat -F; iptables -t nat -X"],
      ["a jump is deleted", "iptables -t nat -D PREROUTING 1"],
    ],
  };

  test.each(DAMAGE[mode])("row 15: what is lost when %s is put back", async (_, damage) => {
    const proxy = await start(mode).inPlace();
    const rules = await rulesOf(host, mode);
    await host.sh(damage);
    expect(await rulesOf(host, mode)).not.toBe(rules);
    await until("the rules as they were", async () => (await rulesOf(host, mode)) === rules);
    expect(proxy.log).toMatch(/somebody took our rules away.* family=4 suspect="(nft|iptables)/);
    await proxy.stop();
  });

  test("row 9: rules of others are left alone, whatever they are", async () => {
    const proxy = await start(mode).inPlace();
    await host.sh(`nft add table inet other; nft add chain inet other c '{ type filter hook input priority 0; }'
      nft add rule inet other c counter; iptables -N OTHER; iptables -A OTHER -j RETURN`);
    await manifests.write("dns", ...service({ name: "dns", n: 11, endpoints: [4] }));
    await until("the new service", async () => (await rulesOf(host, mode)).includes("10.1.0.4"));
    expect(await host.ok(["nft", "list", "table", "inet", "other"])).toContain("counter");
    expect(await host.ok(["iptables", "-S", "OTHER"])).toContain("-A OTHER -j RETURN");
    expect(proxy.log).not.toContain("took our rules away");
    await proxy.stop();
  });

  test("an object that cannot be read is left out and named, in log and metric, and the others are programmed", async () => {
    await manifests.write("bad", {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "bad", namespace: "default" },
      spec: { type: "ClusterIP", clusterIP: "10.96.0.300", ports: "many" },
    });
    const proxy = await start(mode).inPlace();
    expect(await rulesOf(host, mode)).toContain(clusterIPOf(10));
    expect(proxy.log).toMatch(/WARN Service default\/bad cannot be read/);
    expect(await host.ok(["curl", "-s", "127.0.0.1:10249/metrics"])).toMatch(/^tsnet_proxy_malformed_objects 1$/m);
    await manifests.write("bad", ...service({ name: "bad", n: 12, endpoints: [9] }));
    await until("the mended service", async () => (await rulesOf(host, mode)).includes("10.1.0.9"));
    expect(await host.ok(["curl", "-s", "127.0.0.1:10249/metrics"])).toMatch(/^tsnet_proxy_malformed_objects 0$/m);
    await proxy.stop();
  });

  test.each([
    ["rows 1, 3: when the endpoint that answers them is gone", [3]],
    ["row 2: when no endpoint is left", []],
  ] as const)("UDP flows are ended %s, others not", async (_, left) => {
    await manifests.write(
      "dns",
      ...service({ name: "dns", n: 11, protocol: "UDP", endpoints: [2, 3], nodePort: 30053 }),
    );
    const proxy = await start(mode).inPlace();
    await flow("udp", clusterIPOf(11), 80, "10.1.0.2");
    await flow("udp", "192.168.50.1", 30053, "10.1.0.2");
    await flow("udp", "10.2.0.9", 80, "10.1.0.2");
    await flow("udp", clusterIPOf(11), 81, "10.1.0.2");
    await flow("tcp", clusterIPOf(11), 80, "10.1.0.2");
    expect(await flows()).toBe(5);
    await manifests.write("dns", ...service({ name: "dns", n: 11, protocol: "UDP", endpoints: left, nodePort: 30053 }));
    await until("two flows less", async () => (await flows()) === 3);
    const { stdout } = await host.run(["conntrack", "-L"]);
    expect(stdout).toMatch(/^udp .*dst=10\.2\.0\.9 /m);
    expect(stdout).toMatch(/^udp .*dport=81 /m);
    expect(stdout).toMatch(/^tcp /m);
    await proxy.stop();
  });
});

test("row 4: with --flush-tcp TCP flows end with the endpoint that answers them, and only those", async () => {
  const proxy = await start("nftables", {}, "--flush-tcp").inPlace();
  await flow("tcp", clusterIPOf(10), 80, "10.1.0.2");
  await flow("tcp", clusterIPOf(10), 80, "10.1.0.3");
  await flow("tcp", clusterIPOf(10), 81, "10.1.0.2");
  await manifests.write("web", ...service({ name: "web", n: 10, endpoints: [3] }));
  await until("one flow less", async () => (await flows()) === 2);
  expect((await host.run(["conntrack", "-L"])).stdout).not.toMatch(/dport=80 .*src=10\.1\.0\.2 /);
  await proxy.stop();
});

test("row 4: without --flush-tcp TCP flows are never ended", async () => {
  const proxy = await start("nftables").inPlace();
  await flow("tcp", clusterIPOf(10), 80, "10.1.0.2");
  await manifests.write("web", ...service({ name: "web", n: 10, endpoints: [3] }));
  await manifests.write("dns", ...service({ name: "dns", n: 11, protocol: "UDP", endpoints: [4] }));
  await proxy.logged(/stale flows deleted.* proto=udp/);
  expect(await flows()).toBe(1);
  await proxy.stop();
});

test("row 14: an endpoint that is silently missing is found by an audit and put back", async () => {
  const program = ["bun", `${PROJECT}/test/e2e/proxy/audit-program.ts`, manifests.path];
  const proxy = new Daemon(host, [], {}, program);
  await proxy.inPlace();
  const rules = await rulesOf(host, "nftables");
  // As many elements as before, so that a glance does not tell.
  const { stdout } = await host.run(["nft", "list", "map", "ip", "tsnet-proxy", "endpoints-tcp"]);
  const element = /(\S+ \. \S+ \. \d+)(?: comment "[^"]*")? : (10\.1\.0\.2 \. \d+)/.exec(stdout);
  await host.sh(`nft -f - <<'END'
delete element ip tsnet-proxy endpoints-tcp { ${element?.[1]} }
add element ip tsnet-proxy endpoints-tcp { ${element?.[1]} : 10.1.0.99 . 9 }
END`);
  expect(await rulesOf(host, "nftables")).not.toBe(rules);
  await until("the rules as they were", async () => (await rulesOf(host, "nftables")) === rules);
  expect(proxy.log).toMatch(/the audit found rules that are not as they were committed/);
  const metrics = await host.ok(["curl", "-s", "127.0.0.1:10249/metrics"]);
  expect(metrics).toMatch(/^tsnet_proxy_audits_total\{ip_family="IPv4",result="repaired"\} 1$/m);
  await proxy.stop();
});

test("row 12: on a new node with many services the API server's comes first, on one that has rules nothing does", async () => {
  const many = Array.from({ length: 1200 }, (_, i) =>
    service({ name: `s${i}`, n: i + 100, endpoints: [i % 200] }),
  ).flat();
  await manifests.write("many", ...many);
  await manifests.write("kubernetes", ...service({ name: "kubernetes", n: 1, endpoints: [1] }));
  // Each restore of IPv4 notes which of two services it leads somewhere.
  const env = await shadow(
    "iptables-nft-restore",
    `cat > /run/restore.$$
    for n in 1 200; do grep -q -e "-d ${clusterIPOf(0).replace(/0$/, "$n")}[ /].*-[gj] " /run/restore.$$ && echo $n >> /run/restores; done
    exec /usr/sbin/iptables-nft-restore "$@" < /run/restore.$$`,
  );
  const order = async () => (await host.ok(["cat", "/run/restores"])).trim().split("\n");
  const proxy = await start("iptables", env).inPlace();
  expect(await order()).toEqual(["1", "1", "200"]);
  await proxy.stop();
  await host.sh("rm /run/restores");
  const next = await start("iptables", env).inPlace();
  expect(await order()).toEqual(["1", "200"]);
  await next.stop();
});

test("row 7: a restore that fails is tried again soon, and then everything is in place", async () => {
  const env = await shadow(
    "iptables-nft-restore",
    `n=$(cat /run/failures 2>/dev/null || echo 0)
    if [ "$n" -gt 0 ]; then echo $((n - 1)) > /run/failures; head -c 300 >/dev/null; echo "it fails" >&2; exit 2; fi
    exec /usr/sbin/iptables-nft-restore "$@"`,
  );
  const proxy = await start("iptables", env).inPlace();
  await host.sh("echo 3 > /run/failures");
  await manifests.write("dns", ...service({ name: "dns", n: 11, endpoints: [4] }));
  await proxy.logged(/programming works again/);
  expect(proxy.log).toContain("it fails");
  expect(await rulesOf(host, "iptables")).toContain("10.1.0.4");
  const metrics = await host.ok(["curl", "-s", "127.0.0.1:10249/metrics"]);
  expect(metrics).toMatch(/^kubeproxy_sync_proxy_rules_iptables_restore_failures_total\{ip_family="IPv4"\} [12]$/m);
  await proxy.stop();
});

test("row 7: a family that always fails does not stop the other, and --once ends with 1", async () => {
  const env = await shadow("ip6tables-nft-restore", "cat >/dev/null; echo broken >&2; exit 2");
  const proxy = start("iptables", env);
  await proxy.logged(/rules in place family=4/);
  await proxy.logged(/cannot program rules.* family=6/);
  await manifests.write("dns", ...service({ name: "dns", n: 11, endpoints: [4] }));
  await until("the new service", async () => (await rulesOf(host, "iptables")).includes("10.1.0.4"));
  expect(await proxy.stop()).toBe(0);
  const once = ["--proxy-mode", "iptables", "--manifests", manifests.path, "--once"];
  expect(await runToEnd(host, once, env)).toMatchObject({ exitCode: 1 });
});

test("row 15: what somebody flushes of iptables-legacy in the moment that it was written is put back", async () => {
  await host.sh(`for name in iptables ip6tables; do for what in "" -save -restore; do
    mkdir -p /run/hasty; ln -s /usr/sbin/xtables-legacy-multi /run/hasty/$name$what
    done; done
    printf '%s\n' '#!/bin/sh' '/usr/sbin/xtables-legacy-multi iptables-restore "$@" || exit' \
      '! [ -e /run/flush ] || ! rm /run/flush || exec /usr/sbin/xtables-legacy-multi iptables -t nat -F' > /run/hasty/iptables-legacy-restore
    chmod +x /run/hasty/iptables-legacy-restore`);
  const proxy = await start("iptables", { PATH: `/run/hasty:${process.env.PATH}` }).inPlace();
  await host.sh("touch /run/flush");
  await manifests.write("dns", ...service({ name: "dns", n: 11, endpoints: [5] }));
  await until("the flush", async () => (await host.run(["test", "-e", "/run/flush"])).exitCode !== 0);
  await until("the new service", async () =>
    (await host.ok(["iptables-legacy-save", "-t", "nat"])).includes("10.1.0.5"),
  );
  await proxy.stop();
});

test("row 7: while somebody holds the lock of iptables-legacy it waits, and then all is in place", async () => {
  await host.sh(`for name in iptables ip6tables; do for what in "" -save -restore; do
    mkdir -p /run/shadow; ln -s /usr/sbin/xtables-legacy-multi /run/shadow/$name$what
    done; done`);
  const env = { PATH: `/run/shadow:${process.env.PATH}` };
  const proxy = await start("iptables", env).inPlace();
  const locker = host.spawn(["sh", "-c", "exec 9>/run/xtables.lock; flock 9; echo $$ > /run/locker; exec sleep 600"]);
  const pid = await until("the lock", async () => (await host.run(["cat", "/run/locker"])).stdout.trim() || undefined);
  await manifests.write("dns", ...service({ name: "dns", n: 11, endpoints: [4] }));
  await proxy.logged(/rules changed|cannot program rules|lock/);
  await host.ok(["kill", pid]);
  await locker.exited;
  await until("the new service", async () =>
    (await host.ok(["iptables-legacy-save", "-t", "nat"])).includes("10.1.0.4"),
  );
  await host.sh("iptables-legacy -t nat -F");
  await until("row 15: what was flushed", async () =>
    (await host.ok(["iptables-legacy-save", "-t", "nat"])).includes("10.1.0.4"),
  );
  await proxy.stop();
});
