import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { thisBoot } from "../../../lib/ipam/boot.ts";
import { diskStore } from "../../../lib/ipam/disk.ts";
import { FakeStore } from "../../../lib/ipam/store.fake.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import { storeCases } from "./store.cases.ts";

let dataDir = "";
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "tsnet-store-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const OWNER = { containerId: "web", ifname: "eth0" };
const pathOf = (name: string) => join(dataDir, "front", name);

function put(name: string, text: string, isFromBeforeBoot = false): void {
  mkdirSync(join(dataDir, "front"), { recursive: true });
  writeFileSync(pathOf(name), text);
  if (isFromBeforeBoot) utimesSync(pathOf(name), 1_000_000_000, 1_000_000_000);
}

function dump(): Record<string, string> {
  const names = readdirSync(join(dataDir, "front")).filter((name) => /^[0-9a-f.:]+$/.test(name));
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(pathOf(name), "utf8")]));
}

storeCases("a directory", () => ({ store: diskStore("front", dataDir), put, dump }));
storeCases("the fake", () => {
  const store = new FakeStore();
  return { store, put: (...file) => store.put(...file), dump: () => store.dump() };
});

describe("the directory", () => {
  it("is laid out as the reference's", () => {
    diskStore("front", dataDir).locked((held) => {
      held.reserve(parseAddress("10.1.0.2"), OWNER);
      held.setLastReserved(0, parseAddress("10.1.0.2"));
    });
    expect(readdirSync(join(dataDir, "front")).sort()).toEqual(["10.1.0.2", "last_reserved_ip.0", "lock"]);
    expect(readFileSync(pathOf("10.1.0.2"), "utf8")).toBe("web\r\neth0");
    expect(readFileSync(pathOf("last_reserved_ip.0"), "utf8")).toBe("10.1.0.2");
    for (const name of ["10.1.0.2", "last_reserved_ip.0", "lock"])
      expect(statSync(pathOf(name)).mode & 0o777).toBe(0o600);
  });

  it("loses what a crash left unfinished as soon as the lock is held, and not before", () => {
    put("10.1.0.2", "web\r\neth0");
    put(".4711-0a1b2c3d.tmp", "web\r\n");
    put(".hidden", "somebody's");
    const store = diskStore("front", dataDir);
    expect(store.view().reservations()).toHaveLength(1);
    expect(readdirSync(join(dataDir, "front"))).toContain(".4711-0a1b2c3d.tmp");
    expect(store.locked((held) => held.reservations())).toHaveLength(1);
    expect(readdirSync(join(dataDir, "front")).sort()).toEqual([".hidden", "10.1.0.2", "lock"]);
  });

  it("survives a torn last_reserved_ip", () => {
    for (const text of ["", "10.1.", "\0\0"]) {
      put("last_reserved_ip.0", text);
      expect(diskStore("front", dataDir).locked((held) => held.lastReserved(0))).toBeUndefined();
    }
  });

  it("counts an address that a hand wrote otherwise, and frees it by its own name", () => {
    put("FD00:0::5", "web\r\neth0");
    diskStore("front", dataDir).locked((held) => {
      const [found] = held.reservations();
      expect(found).toEqual({ name: "FD00:0::5", address: parseAddress("fd00::5") });
      if (found !== undefined) held.release(found);
    });
    expect(dump()).toEqual({});
  });

  it("counts a directory in an address's place as reserved", () => {
    mkdirSync(pathOf("10.1.0.2"), { recursive: true });
    const view = diskStore("front", dataDir).view();
    expect(view.reservations().map((each) => view.holderOf(each).kind)).toEqual(["hand"]);
  });

  it("lets the lock go when the work throws", () => {
    const store = diskStore("front", dataDir);
    expect(() =>
      store.locked(() => {
        throw new Error("so");
      }),
    ).toThrow("so");
    expect(store.locked((held) => held.reservations())).toEqual([]);
  });
});

describe("cni row 1: the boot's stamp", () => {
  const before = 1_000_000_000_000;

  it("keeps a reservation of this boot, even if the clock was in the past when it was made", () => {
    put("10.1.0.2", "web\r\neth0");
    const boot = thisBoot();
    const stamp = boot.stampedNow() % 1000;
    const inThePast = (before + stamp) / 1000;
    utimesSync(pathOf("10.1.0.2"), inThePast, inThePast);
    const view = diskStore("front", dataDir).view();
    expect(view.reservations().map((each) => view.isFromBeforeBoot(each))).toEqual([false]);
  });

  it("is on every file that we write, to the second of now", () => {
    const now = Date.now();
    diskStore("front", dataDir).locked((held) => held.reserve(parseAddress("10.1.0.2"), OWNER));
    const { mtimeMs } = statSync(pathOf("10.1.0.2"));
    expect(Math.abs(mtimeMs - now)).toBeLessThan(5000);
    expect(mtimeMs).toBeLessThanOrEqual(Date.now());
    expect(thisBoot().isBefore(mtimeMs)).toBe(false);
    expect(thisBoot().isBefore(mtimeMs - 1_000_000_000_000)).toBe(false);
  });

  it("is missing on files of an earlier boot", () => {
    expect(thisBoot().isBefore(before)).toBe(true);
    expect(thisBoot().isBefore(Date.now())).toBe(false);
  });
});
