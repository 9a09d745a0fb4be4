import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, it } from "vitest";
import { parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { parseMac } from "../../../lib/net/mac.ts";
import { type LeaseRecord, Records } from "../../../plugins/dhcp/daemon/records.ts";
import { recordName, stateFolder } from "../../../plugins/dhcp/place.ts";

let folder: string;
let warnings: string[];

beforeEach(() => {
  folder = mkdtempSync("/tmp/tsnet-dhcp-");
  warnings = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

const records = () => new Records(folder, (message) => warnings.push(message));

const RECORD: LeaseRecord = {
  attachment: { network: "lan", containerId: "c1", ifname: "eth0" },
  link: { netns: "/run/netns/c1", inode: 4026532317, name: "eth0", index: 2, mac: "02:00:00:00:00:02" },
  provide: new Map([[12, Buffer.from("web")]]),
  request: [3, 1],
  lease: {
    address: parseCidr("10.0.0.5/24"),
    server: parseAddress("10.0.0.1"),
    via: parseMac("02:00:00:00:00:01"),
    options: new Map([[3, Buffer.from("0a000001", "hex")]]),
    renewAt: 1000.5,
    rebindAt: 2000,
    expiresAt: Number.POSITIVE_INFINITY,
  },
};

it("what is written is read again, by another process", () => {
  records().write(RECORD);
  expect(records().all()).toEqual([RECORD]);
  const lost = { ...RECORD, lost: "the lease ended" };
  records().write(lost);
  expect(records().all()).toEqual([lost]);
  expect(statSync(`${folder}/${recordName(RECORD.attachment)}`).mode & 0o777).toBe(0o600);
  records().remove(RECORD.attachment);
  records().remove(RECORD.attachment);
  expect(records().all()).toEqual([]);
  expect(warnings).toEqual([]);
});

it("each attachment has a file of its own, each socket a folder", () => {
  const { attachment } = RECORD;
  const others = [
    { network: "lan2" },
    { containerId: "c2" },
    { ifname: "eth1" },
    { network: "la", containerId: "nc1" },
  ];
  const names = [attachment, ...others.map((other) => ({ ...attachment, ...other }))].map(recordName);
  expect(new Set(names).size).toBe(names.length);
  expect(stateFolder("/run/a/dhcp.sock")).not.toBe(stateFolder("/run/b/dhcp.sock"));
});

it("what cannot be read is told of and removed; what is of another boot, removed; what is no record, left", () => {
  writeFileSync(`${folder}/aa.json`, "{");
  writeFileSync(`${folder}/bb.json`, "{}");
  writeFileSync(`${folder}/cc.json`, JSON.stringify({ boot: "another" }));
  writeFileSync(`${folder}/lock`, "");
  expect(records().all()).toEqual([]);
  expect(warnings).toEqual([
    expect.stringContaining("aa.json: cannot read"),
    expect.stringContaining("boot is missing"),
  ]);
  expect(readdirSync(folder)).toEqual(["lock"]);
});

it("what cannot be written is told of", () => {
  const some = records();
  rmSync(folder, { recursive: true });
  some.write(RECORD);
  expect(warnings).toEqual([expect.stringContaining("cannot write")]);
  some.remove(RECORD.attachment);
  writeFileSync(folder, "");
  expect(warnings.length).toBe(1);
});
