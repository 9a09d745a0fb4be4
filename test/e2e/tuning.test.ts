/**
 * The tuning plugin on a container of a bridge: every key, every state broken by hand, what was put back, and beside
 * the reference plugin.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { referencePrograms } from "../cluster/build.ts";
import { type CniOptions, Host } from "./host.ts";

const NETNS = "/run/netns/c1";
const BACKUP = "/run/cni/tuning/c1_eth0.json";
const MAC = "0a:00:00:00:00:77";
const INTERFACES = [{ name: "veth1" }, { name: "eth0", mac: "0a:00:00:00:00:01", sandbox: NETNS }];
const PREV = { cniVersion: "1.0.0", interfaces: INTERFACES };

let host: Host;
beforeEach(async () => {
  host = await Host.create();
  await make("c1");
});
afterEach(() => host.destroy());

/** A container with an interface, as a plugin before would make it. */
async function make(id: string, ifname = "eth0"): Promise<void> {
  await host.sh(`
    ip netns add ${id}
    ip link add v-${id} type veth peer name ${ifname} address 0a:00:00:00:00:01 netns ${id}
    ip link set v-${id} up; ip -n ${id} link set ${ifname} up
  `);
}

function call(verb: string, conf: object, options: CniOptions = {}) {
  const base = { cniVersion: "1.0.0", name: "net1", type: "tuning", ...(verb === "DEL" ? {} : { prevResult: PREV }) };
  return host.cni(verb, "tuning", { ...base, ...conf }, { netns: NETNS, ...options });
}

async function add(conf: object, options: CniOptions = {}): Promise<unknown> {
  const out = await call("ADD", conf, options);
  expect(out, out.stdout).toMatchObject({ exitCode: 0, stderr: "" });
  return out.json;
}

/** The container's interface in one line, without counters of changes, and the sysctls that the tests set. */
async function inside(ifname = "eth0"): Promise<string> {
  const { stdout } = await host.inNetns("c1", [
    "sh",
    "-c",
    `ip -o link show ${ifname} | sed -E 's/ state [A-Z]+//'; cd /proc/sys/net; head ipv4/conf/${ifname}/arp_filter core/somaxconn ipv4/ip_local_port_range ipv4/ip_local_reserved_ports`,
  ]);
  return stdout;
}

const backup = () => host.run(["cat", BACKUP]);

describe("ADD", () => {
  it.each([
    ["mac", { mac: MAC.toUpperCase() }, `link/ether ${MAC} `, '"mac": "0a:00:00:00:00:01"'],
    ["mtu", { mtu: 1400 }, "mtu 1400 ", '"mtu": 1500'],
    ["promisc", { promisc: true }, "PROMISC", '"promisc": false'],
    ["allmulti", { allmulti: true }, "ALLMULTI", '"allmulti": false'],
    ["txQLen", { txQLen: 77 }, "qlen 77", '"txQLen": 1000'],
    ["sysctl", { sysctl: { "net.core.somaxconn": "500" } }, "==> core/somaxconn <==\n500\n", '"was": "4096"'],
    ["sysctl with IFNAME", { sysctl: { "net/ipv4/conf/IFNAME/arp_filter": "1" } }, "arp_filter <==\n1\n", '"was": "0"'],
    ["args.cni.sysctl", { args: { cni: { sysctl: { "net.core.somaxconn": "7" } } } }, "<==\n7\n", '"was": "4096"'],
    ["args.cni.mac", { mac: "0a:00:00:00:00:02", args: { cni: { mac: MAC } } }, MAC, '"mac"'],
    ["args.cni.mtu", { mtu: 1300, args: { cni: { mtu: 1400 } } }, "mtu 1400 ", '"mtu"'],
    ["args.cni.promisc", { args: { cni: { promisc: true } } }, "PROMISC", '"promisc"'],
    ["args.cni.allmulti", { allmulti: false, args: { cni: { allmulti: true } } }, "ALLMULTI", '"allmulti"'],
    ["args.cni.txQLen", { txQLen: 3, args: { cni: { txQLen: 77 } } }, "qlen 77", '"txQLen"'],
    ["runtimeConfig.mac", { mac: "0a:00:00:00:00:02", runtimeConfig: { mac: MAC } }, MAC, '"mac"'],
  ])("sets %s, and keeps what was", async (_, conf, found, kept) => {
    const before = await inside();
    await add(conf);
    expect(await inside()).toContain(found);
    expect((await backup()).stdout).toContain(kept);
    expect(await call("DEL", conf)).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
    expect(await inside()).toBe(before);
    expect((await backup()).exitCode).toBe(1);
  });

  it("takes MAC of CNI_ARGS", async () => {
    const args = `IgnoreUnknown=1;MAC=${MAC};K8S_POD_NAME=p`;
    expect(await add({ mac: "0a:00:00:00:00:02" }, { args })).toMatchObject({ interfaces: [{}, { mac: MAC }] });
    expect(await inside()).toContain(MAC);
  });

  it("keeps the back-up in dataDir, for root alone", async () => {
    await add({ mtu: 1400, dataDir: "/run/elsewhere/tuning" });
    const stat = ["stat", "-c", "%a", "/run/elsewhere/tuning", "/run/elsewhere/tuning/c1_eth0.json"];
    expect(await host.ok(stat)).toBe("700\n600\n");
    expect((await backup()).exitCode).toBe(1);
    await call("DEL", { dataDir: "/run/elsewhere/tuning" });
    expect(await inside()).toContain("mtu 1500 ");
    expect(await host.ok(["ls", "/run/elsewhere/tuning"])).toBe("");
  });

  it("with nothing to do hands the result on and leaves no file", async () => {
    const before = await inside();
    expect(await add({ sysctl: {}, mtu: 0, mac: "", promisc: false })).toEqual(PREV);
    expect(await inside()).toBe(before);
    expect((await host.run(["ls", "/run/cni/tuning"])).exitCode).toBe(2);
  });

  it.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
    "answers in version %s",
    async (cniVersion) => {
      const old = cniVersion < "0.3";
      const prevResult = old
        ? { cniVersion, ip4: { ip: "10.1.0.2/24" } }
        : { ...PREV, cniVersion, interfaces: INTERFACES.map((one) => ({ ...one, mtu: 1500 })) };
      const answer = await add({ cniVersion, prevResult, mac: MAC, mtu: 1400 });
      const mtu = cniVersion === "1.1.0" ? { mtu: 1400 } : {};
      expect(answer).toMatchObject(
        old ? prevResult : { cniVersion, interfaces: [{}, { name: "eth0", mac: MAC, ...mtu }] },
      );
    },
  );

  it.each([
    ["without prevResult", { prevResult: undefined }, "Required prevResult missing"],
    [
      "for a sysctl that there is none of",
      { mtu: 1400, sysctl: { "net.core.nonsense": "1" } },
      "this kernel has no sysctl net.core.nonsense",
    ],
    ["for a sysctl outside of net", { sysctl: { "kernel.panic": "1" } }, "invalid net sysctl key"],
    ["for a MAC that is none", { mac: "1:2" }, "for MAC addr"],
    ["for a MAC of a group", { mac: "01:00:5e:00:00:01", sysctl: { "net.core.somaxconn": "500" } }, "is a group's"],
  ])("%s is refused before anything is touched", async (_, conf, msg) => {
    const before = await inside();
    expect(await call("ADD", conf)).toMatchObject({ exitCode: 1, json: { msg: expect.stringContaining(msg) } });
    expect(await inside()).toBe(before);
    expect((await backup()).exitCode).toBe(1);
  });

  it("for an interface that is not there is refused, unless only sysctls are asked for", async () => {
    const out = await call("ADD", { mtu: 1400 }, { ifname: "eth9" });
    expect(out.json).toMatchObject({ msg: `failed to get eth9: there is no such interface in ${NETNS}` });
    await add({ sysctl: { "net.core.somaxconn": "500" } }, { ifname: "eth9" });
    expect(await call("DEL", {}, { ifname: "eth9" })).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await inside()).toContain("somaxconn <==\n4096\n");
  });

  it.each([
    [
      "a sysctl's value",
      { mac: MAC, sysctl: { "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "x" } },
      "cannot set sysctl net.ipv4.conf.IFNAME.arp_filter to",
    ],
    [
      "the MTU",
      { mac: MAC, promisc: true, mtu: 70_000, sysctl: { "net.core.somaxconn": "500" } },
      "set link eth0: mtu greater than device maximum",
    ],
  ])("that fails at %s takes everything back", async (_, conf, msg) => {
    const before = await inside();
    const out = await call("ADD", conf);
    expect(out, out.stdout).toMatchObject({ exitCode: 1, json: { msg: expect.stringContaining(msg) } });
    expect(await inside()).toBe(before);
    expect((await backup()).exitCode).toBe(1);
  });

  it("that cannot keep what was changes nothing", async () => {
    await host.sh("mkdir -p /run/cni; mount -t tmpfs -o ro tmpfs /run/cni");
    const before = await inside();
    const out = await call("ADD", { mac: MAC });
    expect(out).toMatchObject({ exitCode: 1, json: { code: 5, msg: expect.stringContaining("read-only") } });
    expect(await inside()).toBe(before);
  });

  it("a second time in one list, of other keys, keeps what was at first", async () => {
    const before = await inside();
    await add({ mtu: 1400, sysctl: { "net.core.somaxconn": "500" } });
    await add({ mtu: 1300, txQLen: 5, sysctl: { "net.core.somaxconn": "600" } });
    await call("DEL", {});
    await call("DEL", {});
    expect(await inside()).toBe(before);
  });
});

describe("the allow list", () => {
  const list = (lines: string) =>
    host.ok(["sh", "-c", "mkdir -p /etc/cni/tuning; cat > /etc/cni/tuning/allowlist.conf"], { stdin: lines });

  it("/etc/cni/tuning/allowlist.conf lets through what a line matches, and nothing else", async () => {
    await list("^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$\n\n  ^net.core.som  \n");
    await add({ sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1", "net.core.somaxconn": "500" } });
    const out = await call("ADD", { sysctl: { "net.ipv4.conf.eth0.arp_filter": "1" } });
    expect(out.json).toMatchObject({
      code: 7,
      msg: expect.stringContaining("Sysctl net.ipv4.conf.eth0.arp_filter is not allowed"),
    });
    expect(await call("ADD", { args: { cni: { sysctl: { "net.core.rmem_max": "9" } } } })).toMatchObject({
      exitCode: 1,
    });
    const status = { cniVersion: "1.1.0", sysctl: { "net.core.rmem_max": "9" } };
    expect(await call("STATUS", status)).toMatchObject({ exitCode: 1, json: { code: 7 } });
    expect(await call("STATUS", { cniVersion: "1.1.0" })).toMatchObject({ exitCode: 0, stdout: "" });
  });

  it("that is empty lets nothing through, and one with a line that is no pattern says so", async () => {
    await list("");
    const conf = { sysctl: { "net.core.somaxconn": "500" } };
    expect((await call("ADD", conf)).json).toMatchObject({ msg: expect.stringContaining("is not allowed") });
    await list("(\n");
    expect((await call("ADD", conf)).json).toMatchObject({
      msg: expect.stringContaining('"(" is no regular expression'),
    });
  });
});

describe("CHECK", () => {
  const ALL = {
    mac: MAC,
    mtu: 1400,
    promisc: true,
    allmulti: true,
    txQLen: 77,
    sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1", "net.ipv4.ip_local_port_range": "2000 3000" },
  };

  it.each([
    [
      "a sysctl",
      "sysctl -w net.ipv4.conf.eth0.arp_filter=0",
      "value of net.ipv4.conf.IFNAME.arp_filter is 1, current value is 0",
    ],
    [
      "a sysctl of several values",
      "sysctl -w net.ipv4.ip_local_port_range='2000 3001'",
      "ip_local_port_range is 2000 3000",
    ],
    [
      "the MAC",
      "ip link set eth0 address 0a:00:00:00:00:78",
      `Ethernet address of eth0 is ${MAC}, current value is 0a:00:00:00:00:78`,
    ],
    ["the MTU", "ip link set eth0 mtu 1300", "MTU of eth0 is 1400, current value is 1300"],
    ["promiscuous mode", "ip link set eth0 promisc off", "promiscuous mode of eth0 is true, current value is false"],
    ["all-multicast mode", "ip link set eth0 allmulticast off", "all-multicast mode of eth0 is true"],
    ["the queue", "ip link set eth0 txqueuelen 78", "transmit queue length of eth0 is 77, current value is 78"],
    ["the interface", "ip link del eth0", "kernel has no sysctl net.ipv4.conf.IFNAME.arp_filter"],
  ])("fails and names %s when it was broken by hand", async (_, harm, msg) => {
    const prevResult = await add(ALL);
    expect(await call("CHECK", { ...ALL, prevResult })).toMatchObject({ exitCode: 0, stdout: "" });
    await host.ok(["ip", "netns", "exec", "c1", "sh", "-ec", harm]);
    const out = await call("CHECK", { ...ALL, prevResult });
    expect(out, out.stdout).toMatchObject({ exitCode: 1, json: { msg: expect.stringContaining(msg) } });
  });

  it("lets pass what the config does not name, whoever set it", async () => {
    const { mac } = ALL;
    const prevResult = await add({ mac });
    await host.sh(
      "ip -n c1 link set eth0 promisc on allmulticast on mtu 1300 txqueuelen 5; ip -n c1 addr add 192.0.2.1/32 dev eth0",
    );
    expect(await call("CHECK", { mac, prevResult })).toMatchObject({ exitCode: 0, stdout: "" });
  });
});

describe("DEL", () => {
  it.each([
    ["the namespace gone", "ip netns del c1", {}],
    ["CNI_NETNS empty", "true", { netns: "" }],
    ["the interface gone", "ip -n c1 link del eth0", {}],
    ["a back-up that is no JSON", `echo nonsense > ${BACKUP}`, {}],
    ["a config that ADD would refuse", "true", { args: "FOO=1" }],
  ])("with %s leaves no back-up, twice over", async (_, harm, options) => {
    await add({ mtu: 1400, sysctl: { "net.core.somaxconn": "500" } });
    await host.sh(harm);
    for (let times = 0; times < 2; times++) {
      expect(await call("DEL", { mtu: "x" }, options)).toMatchObject({ exitCode: 0, stdout: "" });
      expect(await host.ok(["ls", "/run/cni/tuning"])).toBe("");
    }
  });

  it("leaves a sysctl that somebody set since, and an interface that only has the name", async () => {
    await add({ mtu: 1400, sysctl: { "net.core.somaxconn": "500", "net.ipv4.ip_local_reserved_ports": "8080" } });
    await host.inNetns("c1", ["sysctl", "-w", "net.core.somaxconn=501"]);
    await call("DEL", {});
    expect(await inside()).toContain("somaxconn <==\n501\n");
    expect(await inside()).toMatch(/reserved_ports <==\n\n$/);
    await add({ mtu: 1400 });
    await host.sh("ip -n c1 link del eth0; ip netns del c1");
    await make("c1");
    await host.sh("ip -n c1 link set eth0 mtu 1200");
    expect(await call("DEL", {})).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await inside()).toContain("mtu 1200 ");
  });

  it("of another network, whose ADD failed as the interface was taken, leaves ours alone", async () => {
    await add({ mtu: 1400 });
    expect(await call("DEL", { name: "net2" })).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await inside()).toContain("mtu 1400 ");
    expect((await backup()).stdout).toContain('"mtu": 1500');
  });
});

describe("GC", () => {
  const gc = (conf: object) => call("GC", { cniVersion: "1.1.0", ...conf });
  const files = async () => (await host.ok(["ls", "/run/cni/tuning"])).trim().split("\n").join(" ");

  it("removes the back-ups of attachments that are not listed: none of another network's, of the reference's, of an absent list", async () => {
    await make("c2");
    await make("c3");
    for (const [id, name] of [
      ["c1", "net1"],
      ["c2", "net1"],
      ["c3", "net2"],
    ] as const) {
      await add({ name, mtu: 1400 }, { id, netns: `/run/netns/${id}` });
    }
    await host.sh(`echo '{"mtu": 1500}' > /run/cni/tuning/c4_eth0.json; echo nonsense > /run/cni/tuning/c5_eth0.json`);
    expect(await gc({})).toMatchObject({ exitCode: 0 });
    expect(await files()).toBe("c1_eth0.json c2_eth0.json c3_eth0.json c4_eth0.json c5_eth0.json");
    const valid = [{ containerID: "c2", ifname: "eth0" }];
    expect(await gc({ "cni.dev/valid-attachments": valid })).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await files()).toBe("c2_eth0.json c3_eth0.json c4_eth0.json c5_eth0.json");
    expect(await gc({ "cni.dev/valid-attachments": [] })).toMatchObject({ exitCode: 0 });
    expect(await files()).toBe("c3_eth0.json c4_eth0.json c5_eth0.json");
  });

  it("removes what a killed call left half-written, but not what one is writing now", async () => {
    await host.sh(
      "mkdir -p /run/cni/tuning; cd /run/cni/tuning; touch .8-0123abcd.tmp; touch -d -2min .7-0123abcd.tmp",
    );
    expect(await gc({ "cni.dev/valid-attachments": [] })).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await host.ok(["ls", "-A", "/run/cni/tuning"])).toBe(".8-0123abcd.tmp\n");
  });
});

describe("beside the reference plugin", async () => {
  const { directory: path } = await referencePrograms();
  const CONF = { mac: MAC, mtu: 1400, promisc: true, allmulti: true, txQLen: 77 };

  it.each([
    ["ours puts back what the reference changed", { path }, {}],
    ["the reference puts back what ours changed", {}, { path }],
  ])("%s", async (_, adding, deleting) => {
    const before = await inside();
    const prevResult = await add(CONF, adding);
    expect(await call("CHECK", { ...CONF, prevResult }, deleting)).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await call("DEL", CONF, deleting)).toMatchObject({ exitCode: 0 });
    expect(await inside()).toBe(before);
    expect(await host.ok(["ls", "/run/cni/tuning"])).toBe("");
  });
});
