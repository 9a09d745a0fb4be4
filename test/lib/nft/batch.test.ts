import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sendBatch } from "../../../lib/nft/batch.ts";
import { type NftElementType, NftTransaction } from "../../../lib/nft/transaction.ts";
import { type Netns, openNetns } from "../../../lib/sys/netns.ts";
import { Host } from "../../e2e/host.ts";

const AT = { family: "inet", table: "t", set: "s" } as const;

/** Sends one element; whether it was known how to. */
function sent(type: NftElementType, key: string, value?: string): boolean {
  const spec = { ...AT, type, key, ...(value === undefined ? {} : { value }) };
  return sendBatch(new NftTransaction().addElement(spec).plain ?? [], netns);
}

let host: Host;
let netns: Netns;
beforeAll(async () => {
  host = await Host.create();
  netns = openNetns(`/proc/${host.pid}/ns/net`);
});
afterAll(async () => {
  netns.close();
  await host.destroy();
});

/** A set or map of that type with one element, and what nft lists of it. */
async function listed(type: NftElementType, key: string, value?: string): Promise<string> {
  const tx = new NftTransaction().addTable("inet", "t").deleteTable("inet", "t").addTable("inet", "t");
  const flags = type.flags === undefined ? {} : { flags: type.flags };
  if (type.value === undefined) tx.addSet({ ...AT, typeof: type.key, ...flags });
  else tx.addMap({ ...AT, map: AT.set, key: type.key, value: type.value, ...flags });
  await host.ok(["nft", "-f", "-"], { stdin: tx.render() });
  expect(sent(type, key, value)).toBe(true);
  const text = await host.ok(["nft", "list", "table", "inet", "t"]);
  return /elements = \{ (.*) \}/.exec(text)?.[1] ?? "";
}

describe("the kernel reads the bytes as nft would write the text", () => {
  test.each([
    ["ip saddr", "10.1.0.2"],
    ["ip6 daddr", "fd00::1:2"],
    ["meta l4proto", "udp"],
    ["th dport", "65535"],
    ["tcp sport", "1"],
    ["iifname", '"veth0123456789a"'],
    ["meta oifname . ip saddr . meta l4proto . udp dport", '"br0" . 10.1.0.2 . sctp . 53'],
    ["ip6 saddr . ip6 daddr . meta l4proto . th dport", "fd00::2 . fd00::3 . tcp . 80"],
  ])("%s: %s", async (type, key) => {
    expect(await listed({ key: type }, key)).toBe(key);
  });

  test.each([
    ["ip saddr . ip daddr", "10.1.0.2 . 10.1.0.0/24"],
    ["ip saddr . ip daddr . meta l4proto . th dport", "10.1.0.0/29 . 10.1.0.2 . tcp . 8080"],
    ["ip6 saddr . ip6 daddr", "fd00::/64 . fd00::2"],
  ])("%s with intervals: %s", async (type, key) => {
    expect(await listed({ key: type, flags: ["interval"] }, key)).toBe(key);
  });

  test.each([
    ["meta l4proto . th dport", "ip daddr . th dport", "tcp . 8080", "10.1.0.2 . 80"],
    ["tcp dport", "ip6 daddr . tcp dport", "8080", "fd00::2 . 80"],
    ["ip daddr", "verdict", "10.1.0.2", "drop"],
  ])("%s : %s: %s : %s", async (type, valueType, key, value) => {
    expect(await listed({ key: type, value: valueType }, key, value)).toBe(`${key} : ${value}`);
  });
});

describe("what is not known here is left to nft, and nothing is sent", () => {
  test.each([
    ["a type that it does not know", { key: "ct mark" }, "5"],
    ["plain intervals", { key: "ip saddr", flags: ["interval"] }, "10.0.0.0/8"],
    ["a network in a set of addresses", { key: "ip saddr" }, "10.0.0.0/8"],
    ["an address of the other family", { key: "ip6 saddr" }, "::ffff:10.0.0.1"],
    ["no address", { key: "ip saddr" }, "localhost"],
    ["a range of ports", { key: "th dport . ip saddr", flags: ["interval"] }, "1-2 . 10.0.0.1"],
    ["a protocol by a rare name", { key: "meta l4proto" }, "dccp"],
    ["a name of interfaces that begin so", { key: "iifname" }, '"veth*"'],
    ["too few fields", { key: "ip saddr . ip daddr" }, "10.0.0.1"],
  ] as const)("%s", (_, type, key) => {
    expect(sent(type, key)).toBe(false);
  });

  test("a verdict or a value that it does not know", () => {
    expect(sent({ key: "ip saddr", value: "verdict" }, "10.0.0.1", "queue")).toBe(false);
    expect(sent({ key: "ip saddr", value: "verdict" }, "10.0.0.1", "jump")).toBe(false);
    expect(sent({ key: "ip saddr", value: "meta mark" }, "10.0.0.1", "1")).toBe(false);
  });

  test("a transaction with any other verb, or an element without a type", () => {
    const element = { ...AT, type: { key: "ip saddr" }, key: "10.0.0.1" };
    expect(new NftTransaction().addElement(element).flushSet(AT).plain).toBeUndefined();
    expect(new NftTransaction().addElement({ ...AT, key: "10.0.0.1" }).plain).toBeUndefined();
    expect(new NftTransaction().addElement(element).deleteElement(element).plain).toHaveLength(2);
  });
});
