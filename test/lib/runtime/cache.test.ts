import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listCached, readCached, removeCached, writeCached } from "../../../lib/runtime/cache.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(`${tmpdir()}/tsnet-cache-`);
});

afterEach(() => rmSync(directory, { recursive: true }));

const attachment = { network: "front", containerId: "c1", ifname: "eth0" };
const entry = {
  ...attachment,
  netns: "/run/netns/c1",
  config: '{"name":"front"}',
  args: [["IP", "10.1.0.9"]] as const,
  capabilityArgs: { portMappings: [{ hostPort: 80 }] },
  result: { cniVersion: "1.0.0", ips: [{ address: "10.1.0.9/24" }] },
};

test("containers row 31: the file is libcni's, in its folder, for its owner's eyes", () => {
  writeCached(directory, entry);
  const path = `${directory}/results/front-c1-eth0`;
  expect(readFileSync(path, "utf8")).toBe(
    '{"kind":"cniCacheV1","containerId":"c1","config":"eyJuYW1lIjoiZnJvbnQifQ==","ifName":"eth0",' +
      '"networkName":"front","netns":"/run/netns/c1","cniArgs":[["IP","10.1.0.9"]],' +
      '"capabilityArgs":{"portMappings":[{"hostPort":80}]},' +
      '"result":{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.9/24"}]}}',
  );
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(`${directory}/results`).mode & 0o777).toBe(0o700);
});

test("what is empty is left out, as libcni leaves it out", () => {
  writeCached(directory, { ...entry, netns: "", args: [], capabilityArgs: {}, result: { cniVersion: "1.0.0" } });
  expect(Object.keys(JSON.parse(readFileSync(`${directory}/results/front-c1-eth0`, "utf8")))).toEqual([
    "kind",
    "containerId",
    "config",
    "ifName",
    "networkName",
    "result",
  ]);
});

test("what was written is read back, and forgotten when it is removed", () => {
  writeCached(directory, entry);
  expect(readCached(directory, attachment)).toEqual(entry);
  removeCached(directory, attachment);
  removeCached(directory, attachment);
  expect(readCached(directory, attachment)).toBeUndefined();
});

test("a bare result, as libcni wrote before it had a kind, counts as cached", () => {
  mkdirSync(`${directory}/results`);
  writeFileSync(`${directory}/results/front-c1-eth0`, '{"cniVersion":"0.3.1","ips":[]}');
  expect(readCached(directory, attachment)?.result).toEqual({ cniVersion: "0.3.1", ips: [] });
  expect(listCached(directory)).toEqual([]);
});

test.each(["", "{", "[]", '{"kind":"other"}', '{"kind":"cniCacheV1"}'])(
  "a file that holds %j is no attachment",
  (text) => {
    mkdirSync(`${directory}/results`);
    writeFileSync(`${directory}/results/front-c1-eth0`, text);
    expect(readCached(directory, attachment)).toBeUndefined();
    expect(listCached(directory)).toEqual([]);
  },
);

test("two attachments whose names run together to the same file are not taken for each other", () => {
  writeCached(directory, { ...entry, network: "a-b", containerId: "c" });
  const other = { network: "a", containerId: "b-c", ifname: "eth0" };
  expect(readCached(directory, other)).toBeUndefined();
  removeCached(directory, other);
  expect(listCached(directory)).toHaveLength(1);
});
