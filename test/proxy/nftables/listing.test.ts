import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Host } from "../../e2e/host.ts";
import { normalise } from "../../lib/nft/kernel.ts";
import { BackendAgent } from "./agent.ts";
import { dozen, type Family, tableOf } from "./tables.ts";

let host: Host;
beforeAll(async () => {
  host = await Host.create();
});
afterAll(() => host.destroy());
beforeEach(() => host.ok(["nft", "flush", "ruleset"]));

const NFT_FAMILY = { 4: "ip", 6: "ip6" } as const;

async function listed(family: Family): Promise<string> {
  return normalise(await host.ok(["nft", "-s", "-y", "list", "table", NFT_FAMILY[family], "tsnet-proxy"]));
}

describe.each([4, 6] as const)("IPv%i", (family) => {
  const fixture = `${import.meta.dirname}/dozen-ipv${family}.nft`;

  test("a dozen services as nft lists them; another endpoint count is added later", async () => {
    await using backend = BackendAgent.start(host, { family });
    await backend.replace(dozen(family));
    expect(await listed(family)).toBe(readFileSync(fixture, "utf8"));
    const before = dozen(family);
    const more = tableOf([{ name: "shop/many:http", n: 20, here: [30, 31, 32], there: [33, 34] }], family);
    await backend.update({ ...before, services: { ...before.services, ...more.services } });
    expect(await listed(family)).toContain("chain pick-5 {");
    expect(await backend.audit()).toEqual([]);
  });

  test("what --dry-run prints is what is put in place, to the letter", async () => {
    await using backend = BackendAgent.start(host, { family });
    await backend.replace(dozen(family));
    const sent = await listed(family);
    await host.ok(["nft", "-f", "-"], { stdin: await backend.render(dozen(family)) });
    expect(await listed(family)).toBe(sent);
    // A listing is something that one can load again, too.
    const plain = await host.ok(["nft", "list", "table", NFT_FAMILY[family], "tsnet-proxy"]);
    await host.ok(["nft", "-f", "-"], { stdin: `delete table ${NFT_FAMILY[family]} tsnet-proxy\n${plain}` });
    expect(await listed(family)).toBe(sent);
  });

  const outside = family === 4 ? "172.20.0.0/16" : "fd72::/64";
  test.each([
    ["masqueradeAll", { masqueradeAll: true, masqueradeBit: 31 }],
    ["a bridge", { localInterface: { kind: "bridge", name: "br0" } }],
    [
      "a prefix of interfaces, node ports on all addresses",
      { localInterface: { kind: "prefix", prefix: "cali" }, nodePortAddresses: "all" },
    ],
    [
      "dropInvalid, node ports on some addresses",
      { dropInvalid: true, nodePortAddresses: [outside, "127.0.0.0/8", "::1/128", "0.0.0.0/0", "::/0"] },
    ],
    [
      "node ports on networks that do not end at a byte",
      { nodePortAddresses: ["172.20.0.0/13", "fd72::/61", "192.0.0.0/3", "fe80::/10"] },
    ],
  ] as const)("so it is with %s", async (_, settings) => {
    await using backend = BackendAgent.start(host, { family, ...settings });
    await backend.replace(dozen(family));
    const sent = await listed(family);
    await host.ok(["nft", "-f", "-"], { stdin: await backend.render(dozen(family)) });
    expect(await listed(family)).toBe(sent);
  });
});

test("services that share pods, ranges that overlap, a network that is everything", async () => {
  const table = tableOf(
    [
      { name: "a/one", n: 1, here: [1], there: [1] },
      {
        name: "a/two",
        n: 2,
        here: [1],
        loadBalancer: ["10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8", "192.0.2.7/32", "fd00::/8"],
      },
      { name: "a/three", n: 3, here: [1], loadBalancer: ["0.0.0.0/0"] },
    ],
    4,
  );
  await using backend = BackendAgent.start(host, {});
  await backend.replace({ ...table, node: { ...table.node, podCIDRs: ["0.0.0.0/0", "10.244.1.0/24"] } });
  expect(await backend.audit()).toEqual([]);
  const ranges = /set ranges \{.*?\n\t\}/s.exec(await listed(4))?.[0];
  expect(ranges).toContain("192.0.2.102 . tcp . 80 . 10.0.0.0/8\n");
  expect(ranges).toContain("192.0.2.102 . tcp . 80 . 192.0.2.7\n");
  expect(ranges).not.toContain("10.1.0.0");
  expect(ranges).not.toContain("fd00");
});
