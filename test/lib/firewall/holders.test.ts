/**
 * The names of files tell who has a host port: of what they cannot tell, the files are read.
 *
 * @module
 */
import { mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Firewall, PublishWish } from "../../../lib/firewall/types.ts";
import { addresses, DNS, FakeHost, publish, tcp, WEB } from "./fake-host.ts";

let host: FakeHost;
let firewall: Firewall;
beforeEach(async () => {
  host = new FakeHost(mkdtempSync(join(tmpdir(), "tsnet-firewall-")));
  firewall = await host.firewall("iptables");
});
afterEach(() => rmSync(host.root, { recursive: true, force: true }));

const names = () => readdirSync(`${host.root}/iptables-nft`);
const range = (from: number, count: number) => Array.from({ length: count }, (_, at) => tcp(from + at, from + at));
const ports = (mappings: PublishWish["mappings"], more: Partial<PublishWish> = {}) => ({
  publish: publish({ mappings, ...more }),
});

/** The file of WEB has the name that it had before names told ports. */
function renameToOld(): void {
  for (const name of names()) renameSync(`${host.root}/iptables-nft/${name}`, oldPath(name));
}
const oldPath = (name: string) => `${host.root}/iptables-nft/${name.replace(/@.*(?=\.json$)/, "")}`;

/** DNS asks for a port of WEB's. */
async function expectRefused(port: number): Promise<void> {
  const rival = ports([tcp(port)], { addresses: addresses(6) });
  await expect(firewall.attach(DNS, rival)).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringContaining(`host port ${port}/tcp is taken: the container net1/web/eth0 has`),
  });
  expect(names()).toHaveLength(1);
}

it.each([1, 20, 24, 25, 500])("of %i ports the first and the last are refused to another container", async (count) => {
  await firewall.attach(WEB, ports(range(10_000, count)));
  // 120 characters are 20 numbers of 5 digits and what is between them.
  expect(names()[0]?.includes("@")).toBe(count <= 20);
  await expectRefused(10_000);
  await expectRefused(10_000 + count - 1);
  await firewall.attach(DNS, ports([tcp(10_000 + count)], { addresses: addresses(6) }));
});

it("a name of before, which tells no ports, still refuses, and its container publishes by two interfaces", async () => {
  await firewall.attach(WEB, ports(range(8080, 2)));
  renameToOld();
  expect(names()).toEqual([expect.not.stringContaining("@")]);
  await expectRefused(8081);
  await firewall.attach(
    { ...WEB, network: "net2", ifname: "eth1" },
    ports(range(8080, 3), { addresses: addresses(7) }),
  );
  expect(host.dump()).toContain("--dport 8080 -j DNAT --to-destination 198.51.100.5:");
  expect(host.dump()).not.toContain("--dport 8080 -j DNAT --to-destination 198.51.100.7:");
  await firewall.detach(WEB, ["publish"]);
  expect(names()).toHaveLength(1);
});

it("other ports of the same attachment take the place of those of before, under either name", async () => {
  await firewall.attach(WEB, ports([tcp(8080)]));
  renameToOld();
  await firewall.attach(WEB, ports([tcp(8081)]));
  await firewall.attach(WEB, ports([tcp(8082)]));
  expect(names()).toEqual([expect.stringMatching(/@8082\.json$/)]);
  await firewall.attach(DNS, ports([tcp(8080), tcp(8081)], { addresses: addresses(6) }));
});

it("an attach that fails leaves each part in one file, also under a name of before", async () => {
  await firewall.attach(WEB, ports([tcp(8080)]));
  renameToOld();
  const [before, rules] = [names(), host.dump()];
  const refuse = () => {
    throw Object.assign(new Error("no"), { code: "program" });
  };
  const broken = await host.firewall("iptables", {
    iptables: async () => ({ ...host.iptables.nft, run: refuse, save: refuse }),
  });
  for (const again of [8080, 8081]) {
    await expect(broken.attach(WEB, ports([tcp(again)]))).rejects.toThrow("no");
    expect(names()).toEqual(before);
  }
  await firewall.reload();
  expect(host.dump()).toBe(rules);
});
