/**
 * `tsnet cni` with real plugins, beside the real cnitool, and `tsnet install`.
 */
import { existsSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isTsnetError } from "../../lib/errors.ts";
import { pluginNames } from "../../plugins/names.ts";
import { referencePrograms } from "../cluster/build.ts";
import { Host, PLUGINS, TSNET } from "./host.ts";
import { ask, serve } from "./packets.ts";

/** Without Go there is no cnitool, and without Debian's package no reference plugins either. */
const reference = await referencePrograms().catch((error: unknown) => {
  if (isTsnetError(error, "not-found")) return undefined;
  throw error;
});
const cnitool = reference?.cnitool;

const CONF_DIR = "/etc/cni/net.d";
const LIST = `${CONF_DIR}/10-net1.conflist`;
const ENV = { NETCONFPATH: CONF_DIR, CNI_PATH: PLUGINS };

let host: Host;

beforeEach(async () => {
  host = await Host.create();
});

afterEach(() => host.destroy());

/** Writes a network list: a bridge with host-local, then `plugins`. */
async function network(more: object = {}, plugins: readonly object[] = []): Promise<void> {
  const bridge = {
    type: "bridge",
    bridge: "br0",
    isDefaultGateway: true,
    ipam: { type: "host-local", ranges: [[{ subnet: "10.11.0.0/24" }]] },
  };
  const list = { cniVersion: "1.0.0", cniVersions: ["1.1.0"], name: "net1", plugins: [bridge, ...plugins], ...more };
  await put(LIST, JSON.stringify(list));
}

async function put(path: string, text: string, mode = "644"): Promise<void> {
  await host.ok(["install", "-D", "-m", mode, "/dev/stdin", path], { stdin: text });
}

/** A plugin of ours for a test: a shell script beside the real plugins. */
async function script(name: string, body: string): Promise<Record<string, string>> {
  await put(`/opt/scripts/${name}`, `#!/bin/sh\ncat >/opt/scripts/in\n${body}\n`, "755");
  return { ...ENV, CNI_PATH: `${PLUGINS}:/opt/scripts` };
}

const tsnet = (argv: readonly string[], env: Record<string, string> = ENV) => host.run([TSNET, ...argv], { env });

async function done(argv: readonly string[], env: Record<string, string> = ENV): Promise<string> {
  const { exitCode, stdout, stderr } = await tsnet(argv, env);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return stdout;
}

/** The host with a network on it that nobody is attached to any more: its bridge and lock stay by design. */
async function used(): Promise<string> {
  await host.addNetns("first");
  await done(["cni", "add", "net1", "first"]);
  await done(["cni", "del", "net1", "first"]);
  await host.ok(["ip", "netns", "del", "first"]);
  return host.snapshot();
}

/** Waits until a file is there: something in the test makes it. */
async function appeared(path: string): Promise<void> {
  while ((await host.run(["test", "-e", path])).exitCode !== 0) await Bun.sleep(5);
}

describe("tsnet cni", () => {
  it("attaches two namespaces that reach each other, checks them, and leaves the host as before", async () => {
    await network();
    const before = await used();
    await host.addNetns("a");
    await host.addNetns("b");
    expect(await done(["cni", "add", "net1", "a"])).toMatch(
      /^INTERFACE {2}ADDRESS +GATEWAY +MAC\neth0 +10\.11\.0\.\d+\/24 +10\.11\.0\.1 +[0-9a-f:]{17}\n$/,
    );
    const added = JSON.parse(await done(["cni", "add", "net1", "/run/netns/b", "-i", "net0", "-o", "json"]));
    expect(added).toMatchObject({ cniVersion: "1.1.0", interfaces: [{ name: "br0" }, {}, { name: "net0" }] });
    await serve(host, "b", 80, "b");
    expect(await ask(host, "a", "tcp", added.ips[0].address.split("/")[0], 80)).toMatch(/^b 10\.11\.0\./);
    expect(await done(["cni", "check", "net1", "a"])).toMatch(/net1 +cnitool-[0-9a-f]{20} +eth0 +ok\n/);
    await host.ok(["ip", "-n", "b", "link", "set", "net0", "down"]);
    await host.ok(["ip", "-n", "b", "addr", "flush", "dev", "net0"]);
    expect(await tsnet(["cni", "check", "net1", "b", "-i", "net0"])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/^tsnet: bridge CHECK on network "net1": /),
    });
    expect(JSON.parse(await done(["cni", "status", "net1", "-o", "json"]))).toEqual({
      network: "net1",
      state: "ready",
    });
    await host.sh("for pid in $(ip netns pids b); do kill $pid; done");
    for (const name of ["a", "b"]) {
      await done(["cni", "del", "net1", name, "-i", name === "a" ? "eth0" : "net0"]);
      await host.ok(["ip", "netns", "del", name]);
    }
    expect(await host.snapshot()).toBe(before);
  });

  it("takes its network from a file anywhere, and its settings from cnitool's variables", async () => {
    await network();
    await host.ok(["mv", LIST, "/opt/mine.conflist"]);
    await host.addNetns("a");
    const env = { CNI_PATH: PLUGINS, CNI_IFNAME: "net7", CNI_ARGS: "IgnoreUnknown=1;X=y" };
    expect(await done(["cni", "add", "/opt/mine.conflist", "a"], env)).toContain("net7");
    expect(await host.ok(["ip", "-n", "a", "-o", "link", "show", "net7"])).toContain("net7");
    // The file is gone by the time of DEL: the cache has the list that ADD ran.
    await host.ok(["rm", "/opt/mine.conflist"]);
    expect(await done(["cni", "del", "net1", "a", "-i", "net7"], { CNI_PATH: PLUGINS })).toContain("deleted");
    expect((await host.run(["ip", "-n", "a", "link", "show", "net7"])).exitCode).not.toBe(0);
  });

  it("leaves nothing of an ADD whose last plugin fails, and tells why", async () => {
    await network();
    const before = await used();
    const env = await script("grumpy", `[ $CNI_COMMAND != ADD ] || { echo '{"code":11,"msg":"not today"}'; exit 1; }`);
    await network({}, [{ type: "grumpy" }]);
    await host.addNetns("a");
    expect(await tsnet(["cni", "add", "net1", "a"], env)).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: 'tsnet: grumpy ADD on network "net1": not today\n',
    });
    await host.ok(["ip", "netns", "del", "a"]);
    expect(await host.snapshot()).toBe(before);
  });

  it("leaves an interface be that was there before an ADD, its own or another's", async () => {
    await network();
    await host.addNetns("a");
    await host.sh("ip -n a link add eth0 type veth peer name eth1");
    expect((await tsnet(["cni", "add", "net1", "a"])).exitCode).toBe(1);
    expect(await host.ok(["ip", "-n", "a", "-o", "link", "show", "eth0"])).toContain("eth0");
    await done(["cni", "add", "net1", "a", "-i", "net0"]);
    expect((await tsnet(["cni", "add", "net1", "a", "-i", "net0"])).exitCode).toBe(1);
    await done(["cni", "check", "net1", "a", "-i", "net0"]);
  });

  it("containers row 31: GC removes what is left of namespaces that are gone, and keeps what lives", async () => {
    await network();
    for (const name of ["a", "b"]) {
      await host.addNetns(name);
      await done(["cni", "add", "net1", name, "--container-id", name]);
    }
    await host.ok(["ip", "netns", "del", "a"]);
    expect(await done(["cni", "gc", "net1"])).toBe(
      "NETWORK  CONTAINER  INTERFACE  STATE\nnet1     a          eth0       deleted\nnet1     b          eth0       kept\n",
    );
    await done(["cni", "check", "net1", "b", "--container-id", "b"]);
    expect(await host.ok(["ls", "/var/lib/cni/networks/net1"])).toContain("10.11.0.3");
    expect(await host.ok(["ls", "/var/lib/cni/networks/net1"])).not.toContain("10.11.0.2");
    expect(await done(["cni", "gc", "net1", "--keep", "c:eth0"])).toContain("deleted");
    expect(await host.ok(["ls", "/var/lib/cni/results"])).toBe("");
    expect((await host.run(["ip", "-n", "b", "link", "show", "eth0"])).exitCode).not.toBe(0);
  });

  it("containers row 31: GC waits for a running ADD, also for a plugin whose caller was killed", async () => {
    const env = await script(
      "slow",
      `echo $CNI_COMMAND >>/opt/log; [ $CNI_COMMAND != ADD ] || { echo $PPID >/opt/caller.new; mv /opt/caller.new /opt/caller; cat /opt/fifo >/dev/null; echo ended >>/opt/log; echo '{"cniVersion":"1.1.0"}'; }`,
    );
    await network({ plugins: [{ type: "slow" }] });
    await host.sh("mkfifo /opt/fifo");
    await host.addNetns("a");
    const adding = host.spawn([TSNET, "cni", "add", "net1", "a"], { env });
    await appeared("/opt/caller");
    await host.sh("kill -9 $(cat /opt/caller)");
    await adding.exited;
    const collecting = done(["cni", "gc", "net1"], env);
    await Promise.race([collecting, Bun.sleep(300)]);
    await host.sh("echo >/opt/fifo");
    await collecting;
    expect(await host.ok(["cat", "/opt/log"])).toBe("ADD\nended\nGC\n");
  });

  it("has colour on a terminal only, and never with NO_COLOR", async () => {
    const onTerminal = (env: Record<string, string>) =>
      host.ok(["script", "-qec", `${TSNET} version`, "/dev/null"], { env: { TERM: "xterm", ...env } });
    expect(await onTerminal({})).toContain("\u001b[1mVERSION");
    expect(await onTerminal({ NO_COLOR: "1" })).not.toContain("\u001b[");
    expect(await done(["version"])).not.toContain("\u001b[");
  });
});

describe("tsnet network reload", () => {
  /** The host as it is, less connections: their clocks run. */
  const rules = async () => (await host.snapshot()).replace(/^# conntrack\n[^#]*/m, "");

  it.each(["iptables", "nftables"])("containers row 7: puts back what a flush took, with %s", async (backend) => {
    await network();
    await host.ok(["sed", "-i", `s/"bridge":"br0"/&,"ipMasq":true,"ipMasqBackend":"${backend}"/`, LIST]);
    await host.addNetns("a");
    await done(["cni", "add", "net1", "a"]);
    const before = await rules();
    expect(before).toContain("10.11.0.2");
    await host.sh("nft flush ruleset; iptables-legacy -t nat -F 2>/dev/null || true");
    expect(await rules()).not.toBe(before);
    expect(await done(["network", "reload"])).toBe("the rules of running containers are in place\n");
    expect(await rules()).toBe(before);
    await done(["network", "reload"]);
    expect(await rules()).toBe(before);
  });
});

const WITH_CNITOOL = cnitool === undefined ? "cnitool (not tried: it takes Go to build it)" : "cnitool";

describe.skipIf(cnitool === undefined)(WITH_CNITOOL, () => {
  const tool = (verb: string) => host.run([cnitool ?? "", verb, "net1", "/run/netns/a"], { env: ENV });
  const ours = (verb: string) => tsnet(["cni", verb, "net1", "/run/netns/a"]);

  it.each([
    ["cnitool deletes what tsnet added", ours, tool],
    ["tsnet deletes what cnitool added", tool, ours],
  ])("containers row 31: %s, checks included", async (_what, one, other) => {
    await network({}, [{ type: "portmap", capabilities: { portMappings: true } }]);
    const before = await used();
    await host.addNetns("a");
    expect(await one("add")).toMatchObject({ exitCode: 0 });
    expect(await other("check")).toMatchObject({ exitCode: 0 });
    expect(await other("del")).toMatchObject({ exitCode: 0 });
    await host.ok(["ip", "netns", "del", "a"]);
    expect(await host.snapshot()).toBe(before);
  });

  it("containers row 31: both write the same file", async () => {
    await network({ cniVersions: ["1.0.0"] }, [{ type: "portmap", capabilities: { portMappings: true } }]);
    const env = { ...ENV, CNI_ARGS: "IgnoreUnknown=1;X=y", CAP_ARGS: '{"aliases":["a"],"portMappings":[]}' };
    const written = async (argv: readonly string[]) => {
      await host.addNetns("a");
      await host.ok([...argv, "add", "net1", "/run/netns/a"], { env });
      const files = await host.ok(["sh", "-c", "cd /var/lib/cni/results && stat -c '%n %a' * && cat *"]);
      await host.ok([...argv, "del", "net1", "/run/netns/a"], { env });
      await host.ok(["ip", "netns", "del", "a"]);
      const [head, json] = files.split("\n");
      const { result, ...rest } = JSON.parse(json ?? "");
      return { head, rest, keys: Object.keys(rest), result: Object.keys(result).sort() };
    };
    expect(await written([TSNET, "cni"])).toEqual(await written([cnitool ?? ""]));
  });

  it("the reference plugins run under tsnet, and ours under cnitool", async () => {
    await network({ cniVersions: ["1.0.0"] });
    const before = await used();
    await host.addNetns("a");
    const env = { ...ENV, CNI_PATH: reference?.directory ?? "" };
    await done(["cni", "add", "net1", "/run/netns/a"], env);
    await done(["cni", "check", "net1", "/run/netns/a"], env);
    expect(await tool("del")).toMatchObject({ exitCode: 0 });
    await host.ok(["ip", "netns", "del", "a"]);
    expect(await host.snapshot()).toBe(before);
  });
});

describe("tsnet install", () => {
  const installed = async () => (await host.ok(["ls", "-A", "/opt/cni/bin", CONF_DIR])).split("\n");

  it("makes the default directories work for tsnet cni, and undo makes them as they were", async () => {
    const before = await host.sh("find /opt /etc -printf '%p %i %m %s\\n'");
    const changes: readonly { readonly path: string }[] = JSON.parse(await done(["install", "-o", "json"]));
    expect(changes.map(({ path }) => path)).toEqual([
      ...pluginNames.map((name) => `/opt/cni/bin/${name}`),
      `${CONF_DIR}/99-tsnet.conflist`,
    ]);
    expect(await host.ok(["sh", "-c", "stat -c '%i %h %a' /opt/cni/bin/* | sort -u | cut -d' ' -f2-"])).toBe(
      `${pluginNames.length} 755\n`,
    );
    expect(await host.ok(["sh", "-c", "CNI_COMMAND=VERSION /opt/cni/bin/host-local"])).toContain('"1.1.0"');
    expect(await done(["install"])).not.toMatch(/installed|updated|replaced/);
    await done(["install", "--undo"], {});
    expect(await host.sh("find /opt /etc -printf '%p %i %m %s\\n'")).toBe(before);
    expect(await tsnet(["install", "--undo"])).toMatchObject({ exitCode: 1 });
  });

  it("containers row 30: gives way to the lists that are there, and puts back the plugins that it replaced", async () => {
    await put(`${CONF_DIR}/99-zebra.conflist`, "{}");
    await put("/opt/cni/bin/bridge", "#!/bin/sh\necho somebody else\n", "755");
    const before = await host.sh("ls -li --time-style=full-iso /opt/cni/bin; cat /opt/cni/bin/bridge");
    await done(["install"]);
    expect((await installed()).filter((name) => name.endsWith(".conflist"))).toEqual([
      "99-zebra.conflist",
      "99-zebra.tsnet.conflist",
    ]);
    expect(await host.ok(["sh", "-c", "CNI_COMMAND=VERSION /opt/cni/bin/bridge"])).toContain("supportedVersions");
    await done(["install", "--undo"]);
    expect(await host.sh("ls -li --time-style=full-iso /opt/cni/bin; cat /opt/cni/bin/bridge")).toBe(before);
  });

  it("chooses a subnet and a bridge that nothing on the host has, or says who has the one asked for", async () => {
    await network();
    await host.sh("ip link add tsnet0 type bridge; ip addr add 172.17.0.1/16 dev tsnet0; ip link set tsnet0 up");
    expect(await tsnet(["install", "--subnet", "10.11.0.0/16"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr:
        "tsnet: subnet 10.11.0.0/16 is in conflict with 10.11.0.0/24 of /etc/cni/net.d/10-net1.conflist: choose another, or none\n",
    });
    expect((await tsnet(["install", "--subnet", "10.11"])).exitCode).toBe(2);
    expect((await host.run(["test", "-e", "/opt/cni"])).exitCode).toBe(1);
    await done(["install"]);
    const [bridge] = JSON.parse(await host.ok(["cat", `${CONF_DIR}/99-tsnet.conflist`])).plugins;
    expect(bridge).toMatchObject({ bridge: "tsnet1", ipam: { ranges: [[{ subnet: "172.18.0.0/16" }]] } });
    await host.addNetns("a");
    expect(await done(["cni", "add", "tsnet", "a"], {})).toContain("172.18.0.2/16");
    await done(["cni", "del", "tsnet", "a"], {});
  });

  it("replaces plugins while they are called, and no call fails", async () => {
    await host.sh(`mkdir -p /opt/cni/bin; cp ${TSNET} /opt/cni/bin/bridge`);
    await put(
      "/opt/calls",
      `while [ ! -e /opt/stop ]; do CNI_COMMAND=VERSION /opt/cni/bin/bridge >/dev/null || exit 1; done\n`,
    );
    const calls = host.run(["sh", "/opt/calls"]);
    for (let round = 0; round < 5; round++) {
      await done(["install"]);
      await done(["install", "--undo"]);
    }
    await host.ok(["touch", "/opt/stop"]);
    expect(await calls).toEqual({ exitCode: 0, stdout: "", stderr: "" });
  });
});

it("the built executable is there", () => {
  expect(existsSync(TSNET)).toBe(true);
});
