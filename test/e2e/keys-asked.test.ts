/**
 * Keys of the plugins whose links this kernel may lack: what they ask the kernel for, as strace sees it. That such
 * messages are those of `ip` is told byte for byte in test/lib/netlink.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Host, PLUGINS } from "./host.ts";
import { hostLocal, lan } from "./lan.ts";
import { attributesOf, netlinkOf } from "./netlink-trace.ts";

let host: Host;
beforeAll(async () => {
  host = await lan();
  await host.addNetns("a");
  await host.sh("ip -n a link add eth0 type veth peer name x0; ip -n a link set eth0 up");
});
afterAll(() => host.destroy());

interface Asked {
  readonly name: string;
  readonly kind: string;
  /** Attributes of the kind, as bytes in hex; empty if it has none. */
  readonly data: string;
  /** The master's index, 0 for none. */
  readonly master: number;
  /** 0 for the kernel's. */
  readonly mtu: number;
  /** Whether the kernel is to put it into another namespace than the one that was asked. */
  readonly elsewhere: boolean;
}

// linux/rtnetlink.h, linux/if_link.h
const RTM_NEWLINK = 16;
const IFINFOMSG = 16;
const [IFNAME, MTU, LINK, LINKINFO, NET_NS_FD, INFO_KIND, INFO_DATA] = [3, 4, 5, 18, 28, 1, 2];

/** The link that ADD asks for. Whether the kernel then makes it does not matter. */
async function asked(type: string, conf: object, ifname = "net1"): Promise<Asked> {
  const stdin = JSON.stringify({ cniVersion: "1.1.0", name: "net1", type, ...conf });
  const env = { CNI_CONTAINERID: "a", CNI_NETNS: "/run/netns/a", CNI_IFNAME: ifname, CNI_PATH: PLUGINS };
  const call = (CNI_COMMAND: string) => ({ stdin, env: { ...env, CNI_COMMAND } });
  const { messages, output } = await netlinkOf(host, [RTM_NEWLINK], [`${PLUGINS}/${type}`], call("ADD"));
  await host.run([`${PLUGINS}/${type}`], call("DEL"));
  const all = messages.map((message) => attributesOf(message.subarray(IFINFOMSG)));
  const link = all.find((one) => one.has(LINKINFO));
  if (link === undefined) throw new Error(`asked for no link: ${output.stdout}`);
  const info = attributesOf(link.get(LINKINFO) ?? Buffer.alloc(0));
  const text = (bytes: Buffer | undefined) => (bytes ?? "").toString().replace(/\0$/, "");
  return {
    name: text(link.get(IFNAME)),
    kind: text(info.get(INFO_KIND)),
    data: info.get(INFO_DATA)?.toString("hex") ?? "",
    master: link.get(LINK)?.readUInt32LE() ?? 0,
    mtu: link.get(MTU)?.readUInt32LE() ?? 0,
    elsewhere: link.has(NET_NS_FD),
  };
}

async function indexOf(name: string, netns = ""): Promise<number> {
  const [link] = JSON.parse(await host.ok(["ip", ...(netns === "" ? [] : ["-n", netns]), "-j", "link", "show", name]));
  return link.ifindex;
}

// struct nlattr of linux/netlink.h: length, type, and a value of 2 or 4 bytes, little-endian.
const IPVLAN = { l2: "0600010000000000", l3: "0600010001000000", l3s: "0600010002000000" } as const;
const IPVLAN_FLAGS = "060002000000";

describe("ipvlan asks for", () => {
  it.each(["l2", "l3", "l3s"] as const)("mode %s", async (mode) => {
    expect(await asked("ipvlan", { master: "m0", mode, ipam: hostLocal() })).toEqual({
      ...{ name: "net1", kind: "ipvlan", master: await indexOf("m0"), mtu: 0, elsewhere: true },
      data: `${IPVLAN[mode]}${IPVLAN_FLAGS}`,
    });
  });

  it("the default route's interface as master, mode l2 and the kernel's MTU unless told otherwise", async () => {
    const wanted = { kind: "ipvlan", data: `${IPVLAN.l2}${IPVLAN_FLAGS}`, master: await indexOf("up0"), mtu: 0 };
    expect(await asked("ipvlan", { ipam: hostLocal() })).toMatchObject(wanted);
  });

  it("the MTU of the config", async () => {
    expect(await asked("ipvlan", { master: "m0", mtu: 1400, ipam: hostLocal() })).toMatchObject({ mtu: 1400 });
  });

  it("a master in the container with linkInContainer", async () => {
    const conf = { master: "eth0", linkInContainer: true, ipam: hostLocal() };
    expect(await asked("ipvlan", conf)).toMatchObject({ master: await indexOf("eth0", "a"), elsewhere: false });
  });
});

describe("vlan asks for", () => {
  it("the VLAN, master and MTU of the config", async () => {
    expect(await asked("vlan", { master: "m0", vlanId: 100, mtu: 1400, ipam: hostLocal() })).toEqual({
      ...{ name: "net1", kind: "vlan", master: await indexOf("m0"), mtu: 1400, elsewhere: true },
      data: "060001006400",
    });
  });

  it("a master in the container with linkInContainer", async () => {
    const conf = { master: "eth0", linkInContainer: true, vlanId: 5, ipam: hostLocal() };
    expect(await asked("vlan", conf)).toMatchObject({ master: await indexOf("eth0", "a"), elsewhere: false });
  });
});

it("dummy asks for an interface of that name in the container", async () => {
  expect(await asked("dummy", { ipam: hostLocal() }, "dummy0")).toMatchObject({
    name: "dummy0",
    kind: "dummy",
    data: "",
  });
});

describe("vrf asks for", () => {
  const prevResult = { cniVersion: "1.1.0", interfaces: [{ name: "eth0", sandbox: "/run/netns/a" }], ips: [] };

  it("a VRF by the name and the table of the config", async () => {
    const conf = { vrfname: "blue", table: 4_000_000_000, prevResult };
    expect(await asked("vrf", conf, "eth0")).toMatchObject({ name: "blue", kind: "vrf", data: "0800010000286bee" });
  });

  it("those of args.cni before them", async () => {
    const conf = { vrfname: "blue", table: 9, args: { cni: { vrfname: "red", table: 7 } }, prevResult };
    expect(await asked("vrf", conf, "eth0")).toMatchObject({ name: "red", data: "0800010007000000" });
  });

  it("a table that nobody has unless told otherwise", async () => {
    await host.sh("ip -n a rule add from 192.0.2.1 table 1; ip -n a route add 192.0.2.0/24 dev eth0 table 2");
    const conf = { vrfname: "blue", prevResult };
    expect(await asked("vrf", conf, "eth0")).toMatchObject({ data: "0800010003000000" });
  });
});
