import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chooseMode, type Probe } from "../../../proxy/node/mode.ts";
import { Host, PROJECT } from "../../e2e/host.ts";

const WORKS: Probe = { iptables: async () => undefined, nft: async () => undefined, ipv6: () => undefined };

describe("the mode", () => {
  test("is iptables where that works", async () => {
    expect(await chooseMode(undefined, WORKS)).toEqual({ mode: "iptables", families: [4, 6], lacks: [] });
  });

  test("is nftables where iptables does not work, and says why", async () => {
    const probe = { ...WORKS, iptables: async () => "iptables is not installed" };

    expect(await chooseMode(undefined, probe)).toEqual({
      mode: "nftables",
      families: [4, 6],
      lacks: ["iptables is not installed"],
    });
  });

  test("is what was asked for", async () => {
    expect(await chooseMode("nftables", WORKS)).toEqual({ mode: "nftables", families: [4, 6], lacks: [] });
  });

  test("has the families that work", async () => {
    const probe = { ...WORKS, ipv6: () => "IPv6 is disabled" };
    const half: Probe = { ...WORKS, iptables: async (family) => (family === 6 ? "ip6tables is missing" : undefined) };

    expect(await chooseMode("nftables", probe)).toEqual({
      mode: "nftables",
      families: [4],
      lacks: ["IPv6 is disabled"],
    });
    expect(await chooseMode(undefined, half)).toEqual({
      mode: "iptables",
      families: [4],
      lacks: ["ip6tables is missing"],
    });
  });

  test.each([
    ["iptables", "cannot program services: no iptables"],
    ["nftables", "cannot program services: no nft"],
    [undefined, "cannot program services: no iptables; no nft"],
  ] as const)("%s that does not work is an error with the reasons", async (wanted, message) => {
    const probe = { ...WORKS, iptables: async () => "no iptables", nft: async () => "no nft" };

    await expect(chooseMode(wanted, probe)).rejects.toMatchObject({ code: "kernel-lacks", message });
  });
});

describe("this kernel", () => {
  let host: Host;

  beforeAll(async () => {
    host = await Host.create();
  });

  afterAll(() => host.destroy());

  const probed = async (path = process.env.PATH ?? "") => {
    const script = `process.env.PATH = ${JSON.stringify(path)};
      const { hostProbe } = await import("${PROJECT}/proxy/node/mode.ts");
      const all = [await hostProbe.iptables(4), await hostProbe.iptables(6), await hostProbe.nft(), hostProbe.ipv6()];
      console.log(JSON.stringify(all.map((reason) => reason ?? null)));`;
    return JSON.parse(await host.ok([process.execPath, "-e", script]));
  };

  test("does both, and nothing is left of having asked", async () => {
    const before = await host.snapshot();

    expect(await probed()).toEqual([null, null, null, null]);
    expect(await host.snapshot()).toBe(before);
  });

  test("a host without the programs is told which", async () => {
    expect(await probed("/nowhere")).toEqual([
      "there is no iptables: install it, or set the proxy's mode to nftables",
      "there is no iptables: install it, or set the proxy's mode to nftables",
      "cannot start nft: no such program in PATH; install it",
      null,
    ]);
  });

  test("IPv6 that is turned off is none", async () => {
    await host.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");

    expect((await probed()).at(3)).toBe("IPv6 is disabled");
  });
});
