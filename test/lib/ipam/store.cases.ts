/** What every store does, whether it is a directory or a fake: run on both. */
import { describe, expect, it } from "vitest";
import type { Reservation, Store } from "../../../lib/ipam/store.ts";
import { parseAddress } from "../../../lib/net/address.ts";

/** A store, and a way round it. */
export interface StoreUnderTest {
  readonly store: Store;
  put(name: string, text: string, isFromBeforeBoot?: boolean): void;
  dump(): Readonly<Record<string, string>>;
}

const at = (name: string): Reservation => ({ name, address: parseAddress(name) });
const OWNER = { containerId: "web", ifname: "eth0" };

export function storeCases(name: string, make: () => StoreUnderTest): void {
  describe(`${name} as a store`, () => {
    it("is not there before the first reservation", () => {
      const { store, dump } = make();
      expect(store.isThere()).toBe(false);
      expect(store.view().reservations()).toEqual([]);
      expect(store.isThere()).toBe(false);
      expect(store.locked((held) => held.reserve(parseAddress("10.1.0.2"), OWNER))).toBe(true);
      expect(store.isThere()).toBe(true);
      expect(dump()).toEqual({ "10.1.0.2": "web\r\neth0" });
    });

    it("reserves an address once", () => {
      const { store, dump } = make();
      store.locked((held) => {
        expect(held.reserve(parseAddress("10.1.0.2"), OWNER)).toBe(true);
        expect(held.reserve(parseAddress("10.1.0.2"), { containerId: "other", ifname: "eth0" })).toBe(false);
        expect(held.reserve(parseAddress("FD00::0:5"), OWNER)).toBe(true);
      });
      expect(dump()).toEqual({ "10.1.0.2": "web\r\neth0", "fd00::5": "web\r\neth0" });
    });

    it("lists what is reserved, and says by whom", () => {
      const { store, put } = make();
      put("10.1.0.2", "web\r\neth0");
      put("10.1.0.3", "");
      put("10.1.0.4", "old");
      put("fd00::5", "the printer's\n");
      const view = store.view();
      expect(view.reservations()).toEqual(["10.1.0.2", "10.1.0.3", "10.1.0.4", "fd00::5"].map(at));
      expect(view.reservations().map((each) => view.holderOf(each).kind)).toEqual([
        "attachment",
        "nobody",
        "container",
        "hand",
      ]);
      expect(view.holderOf(at("10.1.0.99")).kind).toBe("nobody");
    });

    it("tells what is from before the boot", () => {
      const { store, put } = make();
      put("10.1.0.2", "web\r\neth0", true);
      put("10.1.0.3", "web\r\neth0", false);
      store.locked((held) => {
        held.reserve(parseAddress("10.1.0.4"), OWNER);
        expect(["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5"].map((name) => held.isFromBeforeBoot(at(name)))).toEqual(
          [true, false, false, false],
        );
      });
    });

    it("hands one over, new again", () => {
      const { store, put, dump } = make();
      put("10.1.0.2", "gone\r\neth0", true);
      store.locked((held) => {
        expect(held.holderOf(at("10.1.0.2"))).toMatchObject({ containerId: "gone" });
        held.takeOver(at("10.1.0.2"), OWNER);
        expect(held.holderOf(at("10.1.0.2"))).toMatchObject({ containerId: "web" });
        expect(held.isFromBeforeBoot(at("10.1.0.2"))).toBe(false);
      });
      expect(dump()).toEqual({ "10.1.0.2": "web\r\neth0" });
    });

    it("frees one, again and again", () => {
      const { store, put, dump } = make();
      put("10.1.0.2", "web\r\neth0");
      store.locked((held) => {
        held.release(at("10.1.0.2"));
        held.release(at("10.1.0.2"));
        expect(held.reserve(parseAddress("10.1.0.2"), OWNER)).toBe(true);
        held.release(at("10.1.0.2"));
      });
      expect(dump()).toEqual({});
    });

    it("remembers the last of each set", () => {
      const { store } = make();
      store.locked((held) => {
        expect(held.lastReserved(0)).toBeUndefined();
        held.setLastReserved(0, parseAddress("10.1.0.2"));
        held.setLastReserved(1, parseAddress("fd00::5"));
      });
      store.locked((held) => {
        expect(held.lastReserved(0)).toEqual(parseAddress("10.1.0.2"));
        expect(held.lastReserved(1)).toEqual(parseAddress("fd00::5"));
      });
      expect(store.view().reservations()).toEqual([]);
    });
  });
}
