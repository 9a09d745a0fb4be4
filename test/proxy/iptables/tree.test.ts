import { expect, test } from "vitest";
import { bitsAt, commonBits, frontendKey, prefixOf } from "../../../proxy/iptables/key.ts";
import type { Entry } from "../../../proxy/iptables/port.ts";
import { diffTrees, type Entries, mergeEntries, sortEntries, visitTree } from "../../../proxy/iptables/tree.ts";
import { random } from "./tables.ts";

const at = (address: string, port = 80, protocol: "tcp" | "udp" | "sctp" = "tcp") =>
  frontendKey(address.includes(":") ? 6 : 4, protocol, { address, port });

const entry = (key: string): Entry => ({ key, rule: `to ${key}` });

test("a key orders by address, protocol and port", () => {
  const keys = [at("10.0.0.2"), at("9.255.0.0", 65535), at("10.0.0.2", 79, "udp"), at("10.0.0.2", 443)];
  expect(keys.toSorted()).toEqual([keys[1], keys[0], keys[3], keys[2]]);
});

test("bits of a key", () => {
  expect(bitsAt("a5", 0, 4)).toBe(0xa);
  expect(bitsAt("a5", 2, 4)).toBe(0b1001);
  expect(bitsAt("a5", 6, 2)).toBe(1);
  expect(bitsAt("a5", 7, 4)).toBe(0b1000);
  expect(commonBits("a5", "a5")).toBe(8);
  expect(commonBits("a5", "a4")).toBe(7);
  expect(commonBits("25", "a5")).toBe(0);
});

test.each([
  ["10.96.0.0-12", "-d 10.96.0.0/12", at("10.100.1.2"), 12],
  ["10.100.1.2-32", "-d 10.100.1.2/32", at("10.100.1.2"), 32],
  ["10.100.1.2-32-protocols-2", "-d 10.100.1.2/32", at("10.100.1.2"), 34],
  ["10.100.1.2-32-udp", "-d 10.100.1.2/32 -p udp", at("10.100.1.2", 53, "udp"), 36],
  ["10.100.1.2-32-tcp-64-127", "-d 10.100.1.2/32 -p tcp -m tcp --dport 64:127", at("10.100.1.2", 80), 46],
  ["10.100.1.2-32-tcp-80-80", "-d 10.100.1.2/32 -p tcp -m tcp --dport 80", at("10.100.1.2", 80), 52],
  ["fd00.10.96..-108", "-d fd00:10:96::/108", at("fd00:10:96::1:2"), 108],
  ["tcp-30720-31743", "-p tcp -m tcp --dport 30720:31743", frontendKey(4, "tcp", { address: "", port: 31000 }), 10],
])("what begins alike is called %s and matched by %s", (place, match, key, bits) => {
  expect(prefixOf(key, bits)).toEqual({ place, match });
});

/** All chains of a tree, the root's name being ROOT. */
function chainsOf(entries: Entries): Map<string, readonly string[]> {
  const chains = new Map<string, readonly string[]>();
  visitTree("ROOT", entries, (chain, rules) => {
    expect(chains.has(chain)).toBe(false);
    chains.set(chain, rules);
  });
  return chains;
}

/** What a packet with this key meets, jump by jump; and past how many rules. */
function walk(chains: ReadonlyMap<string, readonly string[]>, key: string): { found: boolean; rules: number } {
  let rules = 0;
  const visit = (chain: string): boolean => {
    for (const rule of chains.get(chain) ?? []) {
      rules++;
      if (rule === `to ${key}`) return true;
      const target = / ?-j (\S+)$/.exec(rule)?.[1];
      if (target !== undefined && matches(rule, key) && visit(target)) return true;
    }
    return false;
  };
  return { found: visit("ROOT"), rules };
}

function matches(rule: string, key: string): boolean {
  const network = /-d (\S+)\/(\d+)/.exec(rule);
  const [, address = "", length = ""] = network ?? [];
  if (network !== null && commonBits(at(address).slice(0, -5), key.slice(0, -5)) < Number(length)) return false;
  const protocol = /-p (\S+)/.exec(rule)?.[1];
  if (protocol !== undefined && ["tcp", "udp", "sctp"][Number(key.at(-5))] !== protocol) return false;
  const [, first, last = first] = /--dport (\d+)(?::(\d+))?/.exec(rule) ?? [];
  const port = Number.parseInt(key.slice(-4), 16);
  return first === undefined || (Number(first) <= port && port <= Number(last));
}

function address(next: () => number): string {
  return `10.${96 + Math.floor(next() * 16)}.${Math.floor(next() * 256)}.${Math.floor(next() * 256)}`;
}

test("up to 32 entries are one chain, one more divides them", () => {
  const few = sortEntries(Array.from({ length: 32 }, (_, n) => entry(at(`10.96.0.${n}`))));
  expect([...chainsOf(few).keys()]).toEqual(["ROOT"]);
  const more = mergeEntries(few, [], [entry(at("10.96.0.32"))]);
  expect(chainsOf(more).get("ROOT")).toEqual(["-d 10.96.0.0/27 -j KUBE-SVC-10.96.0.0-27", `to ${at("10.96.0.32")}`]);
});

test.each([1, 2, 3])("every entry is found within some sixty rules, whatever lies there, seed %i", (seed) => {
  const next = random(seed);
  const keys = new Set<string>();
  for (let n = 0; n < 3000; n++) keys.add(at(address(next), 80));
  for (let n = 0; n < 200; n++) keys.add(at("10.96.0.1", 1 + Math.floor(next() * 65535), next() < 0.5 ? "tcp" : "udp"));
  for (let n = 0; n < 50; n++) keys.add(at("10.96.0.2", 1 + Math.floor(next() * 65535), "sctp"));
  const entries = sortEntries([...keys].map(entry));
  const chains = chainsOf(entries);
  for (const { key } of entries) {
    const { found, rules } = walk(chains, key);
    expect(found).toBe(true);
    expect(rules).toBeLessThan(100);
  }
  for (const chain of chains.keys()) expect(chain.length).toBeLessThanOrEqual(28);
});

test.each([4, 5, 6, 7])("a change and a fresh build end in the same chains, seed %i", (seed) => {
  const next = random(seed);
  let entries: Entries = [];
  const chains = new Map<string, readonly string[]>([["ROOT", []]]);
  for (let round = 0; round < 120; round++) {
    const come = Array.from({ length: Math.floor(next() * 30) }, () => entry(at(address(next), 80)));
    const gone = entries.filter(() => next() < (round > 60 ? 0.06 : 0.02));
    const after = mergeEntries(entries, gone, come);
    for (const chain of diffTrees("ROOT", entries, after, (name, rules) => chains.set(name, rules))) {
      expect(chains.delete(chain)).toBe(true);
    }
    entries = after;
    expect(chains).toEqual(chainsOf(entries));
  }
  expect(entries.length).toBeGreaterThan(32);
});

test("a change in one corner writes the chains on the way there, and no other (row 5)", () => {
  const next = random(8);
  const entries = sortEntries([...new Set(Array.from({ length: 5000 }, () => at(address(next))))].map(entry));
  const written: string[] = [];
  diffTrees("ROOT", entries, mergeEntries(entries, [], [entry(at("10.100.0.1", 8443))]), (chain) =>
    written.push(chain),
  );
  expect(written.length).toBeLessThanOrEqual(3);
});
