import { describe, expect, it } from "vitest";
import type { CniResult } from "../../../lib/cni/types.ts";
import type { Link } from "../../../lib/netlink/link.ts";
import type { TuningConfig } from "../../../plugins/tuning/config.ts";
import { type Found, planTuning, restoring, tunedResult } from "../../../plugins/tuning/plan.ts";

const link: Link = {
  index: 2,
  name: "eth0",
  mac: "02:00:00:00:00:01",
  mtu: 1500,
  up: true,
  promisc: false,
  allmulti: true,
  kind: "veth",
  master: undefined,
  peerIndex: 7,
  operstate: 6,
  group: 0,
  txQueueLength: 1000,
  alias: undefined,
  data: new Map(),
  portData: new Map(),
};
const nothing: TuningConfig = {
  dataDir: "/run/cni/tuning",
  sysctls: [],
  mac: undefined,
  promisc: false,
  mtu: undefined,
  allmulti: undefined,
  txQueueLength: undefined,
};
const found: Found = { network: "net1", netns: 99, link, sysctls: new Map(), earlier: undefined };
const somaxconn = { key: "net.core.somaxconn", file: "net/core/somaxconn", value: "500" };

describe("tuning's plan", () => {
  it("without a wish changes nothing and keeps nothing", () => {
    expect(planTuning(nothing, found)).toEqual({ link: {}, sysctls: [], backup: undefined });
  });

  it("keeps of the interface only what it changes", () => {
    const mac = "02:00:00:00:00:02";
    expect(planTuning({ ...nothing, mac, allmulti: false }, found)).toEqual({
      link: { mac, allmulti: false },
      sysctls: [],
      backup: { mac: link.mac, allmulti: true, network: "net1", link: "99:2" },
    });
  });

  it("keeps of sysctls only those that can be read and are not so already", () => {
    const flush = { key: "net.ipv4.route.flush", file: "net/ipv4/route/flush", value: "1" };
    const sysctls = [somaxconn, flush];
    const was = (value: string) =>
      new Map([
        [somaxconn.file, value],
        [flush.file, undefined],
      ] as const);
    expect(planTuning({ ...nothing, sysctls }, { ...found, sysctls: was("500") })).toEqual({
      link: {},
      sysctls,
      backup: undefined,
    });
    expect(planTuning({ ...nothing, sysctls }, { ...found, sysctls: was("4096") }).backup).toEqual({
      network: "net1",
      link: "99:2",
      sysctl: { [somaxconn.file]: { was: "4096", set: "500" } },
    });
  });

  it("keeps what a plugin earlier in the list found, and not what that one made of it", () => {
    const earlier = {
      mac: "02:00:00:00:00:00",
      network: "net1",
      link: "99:2",
      sysctl: { [somaxconn.file]: { was: "4096", set: "100" } },
    };
    const config = { ...nothing, mac: "02:00:00:00:00:02", mtu: 1400, sysctls: [somaxconn] };
    expect(planTuning(config, { ...found, sysctls: new Map([[somaxconn.file, "100"]]), earlier }).backup).toEqual({
      ...earlier,
      mtu: 1500,
      sysctl: { [somaxconn.file]: { was: "4096", set: "500" } },
    });
  });

  it.each([
    ["another link", { mac: "02:00:00:00:00:00", network: "net1", link: "99:3" }],
    ["another namespace", { mac: "02:00:00:00:00:00", network: "net1", link: "98:2" }],
    ["the reference plugin, which does not say of which link", { mac: "02:00:00:00:00:00" }],
  ])("writes over a back-up of %s", (_, earlier) => {
    expect(planTuning({ ...nothing, mtu: 1400 }, { ...found, earlier }).backup).toEqual({
      mtu: 1500,
      network: "net1",
      link: "99:2",
    });
  });

  it("puts back what the back-up says, in the words of a link", () => {
    expect(restoring({ mtu: 9000, txQLen: 0, promisc: false, network: "n", link: "1:2" })).toEqual({
      mtu: 9000,
      txQueueLength: 0,
      promisc: false,
    });
  });

  it("tells MAC and MTU in the result, of the container's interface alone", () => {
    const result: CniResult = {
      interfaces: [
        { name: "eth0", mac: "02:00:00:00:00:0a" },
        { name: "eth0", mac: link.mac, mtu: 1500, sandbox: "/run/netns/c1" },
        { name: "eth0", mac: link.mac, sandbox: "/run/netns/c1" },
      ],
      ips: [],
      routes: [],
      dns: {},
    };
    const [outside, inside, without] = tunedResult(result, "eth0", { mac: "02:00:00:00:00:02", mtu: 1400 }).interfaces;
    expect(outside).toEqual(result.interfaces[0]);
    expect(inside).toMatchObject({ mac: "02:00:00:00:00:02", mtu: 1400 });
    expect(without).toEqual({ name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/c1" });
  });
});
