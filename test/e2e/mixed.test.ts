/**
 * Ours and the reference's plugins under one runtime, the reference's own: whole chains under cnitool, in every config
 * version, mixed in any order, and a chain that one of the two added taken down by the other.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Host, type Output, PLUGINS } from "./host.ts";
import { reference, WITH_REFERENCE } from "./peers.ts";

const LIST = "/etc/cni/net.d/10-net1.conflist";
const CHAIN = ["bridge", "portmap", "firewall", "bandwidth", "tuning"];
const ALL = [...CHAIN, "host-local"];
const OURS = "/opt/mixed";

let host: Host;
beforeEach(async () => {
  host = await Host.create();
});
afterEach(() => host.destroy());

/** All plugins of the chain with their usual keys; `firewall` and `bandwidth` do not know the oldest versions. */
async function writeList(cniVersion: string, types: readonly string[] = CHAIN): Promise<void> {
  const configs: Readonly<Record<string, object>> = {
    bridge: {
      bridge: "br0",
      isGateway: true,
      ipMasq: true,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.41.0.0/24" }]], routes: [{ dst: "0.0.0.0/0" }] },
    },
    portmap: { capabilities: { portMappings: true } },
    firewall: { backend: "iptables" },
    bandwidth: { ingressRate: 8_000_000, ingressBurst: 8_000_000, egressRate: 8_000_000, egressBurst: 8_000_000 },
    tuning: { sysctl: { "net.ipv4.conf.IFNAME.log_martians": "1" }, mtu: 1400 },
  };
  const plugins = types.map((type) => ({ type, ...configs[type] }));
  await host.ok(["install", "-D", "/dev/stdin", LIST], {
    stdin: JSON.stringify({ cniVersion, name: "net1", plugins }),
  });
}

/** A folder of plugins, those of `ours` ours. */
async function mixture(ours: readonly string[]): Promise<void> {
  const link = (name: string) =>
    `ln -s ${ours.includes(name) ? PLUGINS : reference?.directory}/${name} ${OURS}/${name}`;
  await host.sh(`rm -rf ${OURS}; mkdir -p ${OURS}; ${ALL.map(link).join("; ")}`);
}

function cnitool(verb: string): Promise<Output> {
  const env = {
    NETCONFPATH: "/etc/cni/net.d",
    CNI_PATH: OURS,
    CAP_ARGS: JSON.stringify({ portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] }),
  };
  return host.run([reference?.cnitool ?? "", verb, "net1", "/run/netns/a"], { env });
}

async function done(verb: string): Promise<string> {
  const out = await cnitool(verb);
  expect(out, `${verb}: ${out.stdout}${out.stderr}`).toMatchObject({ exitCode: 0 });
  return out.stdout;
}

/** As the host is with a network that nobody is on: fixed chains of the reference's stay, and the bridge. */
async function used(ours: readonly string[]): Promise<string> {
  await host.addNetns("a");
  await mixture(ours);
  await done("add");
  await done("del");
  return host.snapshot();
}

describe.skipIf(reference === undefined)(WITH_REFERENCE, () => {
  test.each(["0.4.0", "1.0.0"])("cnitool drives our whole chain in %s", async (version) => {
    await writeList(version);
    const before = await used(ALL);
    const result = JSON.parse(await done("add"));
    expect(result).toMatchObject({ cniVersion: version, ips: [{ address: "10.41.0.3/24" }] });
    await done("check");
    await done("del");
    await done("del");
    expect(await host.snapshot()).toBe(before);
  });

  test.each(["0.3.0", "0.3.1"])("cnitool drives what there was in %s", async (version) => {
    await writeList(version, ["bridge", "portmap", "bandwidth", "tuning"]);
    const before = await used(ALL);
    expect(JSON.parse(await done("add"))).toMatchObject({ cniVersion: version, ips: [{ version: "4" }] });
    await done("del");
    expect(await host.snapshot()).toBe(before);
  });

  test("every mixture of ours and theirs adds, checks and deletes, each taking the other's result", async () => {
    await writeList("1.0.0");
    // Enough that each two of the six were of one kind and of two.
    for (const bits of [0b000111, 0b111000, 0b010101, 0b101010, 0b011001, 0b100110]) {
      const ours = ALL.filter((_, index) => ((bits >> index) & 1) === 1);
      const before = await used(ours);
      await done("add");
      await done("check");
      await done("del");
      expect(await host.snapshot(), `ours: ${ours.join(", ")}`).toBe(before);
      await host.ok(["ip", "netns", "del", "a"]);
    }
  });

  test("containers row 32: what their chain added our chain takes down to the last rule, with and without the namespace", async () => {
    await writeList("1.0.0");
    const before = await used(ALL);
    for (const gone of [false, true]) {
      await mixture([]);
      await done("add");
      if (gone) await host.ok(["ip", "netns", "del", "a"]);
      await mixture(ALL);
      await done("del");
      const after = await host.snapshot();
      if (gone) await host.addNetns("a");
      expect(withoutNetns(after), gone ? "namespace gone" : "namespace there").toBe(withoutNetns(before));
    }
  });

  test("what our chain added theirs takes down where the formats allow: address and links", async () => {
    await writeList("1.0.0", ["bridge"]);
    await used(ALL);
    await done("add");
    await mixture([]);
    await done("del");
    expect(await host.sh("ls /var/lib/cni/networks/net1 | grep -c '^10' || true")).toBe("0\n");
    expect(await host.sh("ip -o link | grep -c veth || true")).toBe("0\n");
  });
});

function withoutNetns(snapshot: string): string {
  return snapshot.replace(/# netns\n[^#]*/, "");
}
