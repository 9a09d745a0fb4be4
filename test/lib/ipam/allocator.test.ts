import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allocate } from "../../../lib/ipam/allocator.ts";
import { checkNotExhausted } from "../../../lib/ipam/pool.ts";
import { buildRangeSets, type RangeSet, type RangeSpec, rangeFor } from "../../../lib/ipam/range.ts";
import { FakeStore } from "../../../lib/ipam/store.fake.ts";
import { formatAddress, parseAddress, sameAddress } from "../../../lib/net/address.ts";
import { contains, formatCidr, parseCidr } from "../../../lib/net/cidr.ts";

/** `10.1.0.0/24` or `10.1.0.0/24 10.1.0.10-10.1.0.20` or `... via 10.1.0.254`; ranges of a set joined by `,`. */
function sets(...texts: readonly string[]): readonly RangeSet[] {
  return buildRangeSets(texts.map((set) => set.split(",").map(rangeOf)));
}

function rangeOf(text: string): RangeSpec {
  const [, subnet = "", start, end, gateway] = /^(\S+)(?: ([^\s-]+)-(\S+))?(?: via (\S+))?$/.exec(text) ?? [];
  return {
    subnet: parseCidr(subnet),
    ...(start === undefined ? {} : { rangeStart: parseAddress(start) }),
    ...(end === undefined ? {} : { rangeEnd: parseAddress(end) }),
    ...(gateway === undefined ? {} : { gateway: parseAddress(gateway) }),
  };
}

interface Ask {
  readonly id?: string;
  readonly ifname?: string;
  readonly ips?: readonly string[];
}

function give(
  store: FakeStore,
  of: readonly RangeSet[],
  { id = "web", ifname = "eth0", ips = [] }: Ask = {},
  warnings: string[] = [],
) {
  const wish = { owner: { containerId: id, ifname }, sets: of, requested: ips.map(parseAddress) };
  return allocate(store, wish, (message) => warnings.push(message)).map(({ address }) => formatCidr(address));
}

describe("an address", () => {
  it("is the first after the gateway, then the next in turn", () => {
    const store = new FakeStore();
    const of = sets("10.1.0.0/24");
    expect(give(store, of, { id: "a" })).toEqual(["10.1.0.2/24"]);
    expect(give(store, of, { id: "b" })).toEqual(["10.1.0.3/24"]);
    store.release({ name: "10.1.0.2", address: parseAddress("10.1.0.2") });
    expect(give(store, of, { id: "c" })).toEqual(["10.1.0.4/24"]);
    expect(store.dump()).toEqual({ "10.1.0.3": "b\r\neth0", "10.1.0.4": "c\r\neth0" });
  });

  it("comes round to the beginning, and never is the gateway", () => {
    const store = new FakeStore();
    const of = sets("10.1.0.0/29 via 10.1.0.3");
    const given = ["a", "b", "c", "d", "e"].flatMap((id) => give(store, of, { id }));
    expect(given).toEqual(["10.1.0.1/29", "10.1.0.2/29", "10.1.0.4/29", "10.1.0.5/29", "10.1.0.6/29"]);
    store.release({ name: "10.1.0.1", address: parseAddress("10.1.0.1") });
    expect(give(store, of, { id: "f" })).toEqual(["10.1.0.1/29"]);
  });

  it("never is the gateway of another range of the same subnet", () => {
    const of = sets("10.1.0.0/24 10.1.0.1-10.1.0.9 via 10.1.0.10", "10.1.0.0/24 10.1.0.10-10.1.0.19 via 10.1.0.1");
    expect(give(new FakeStore(), of)).toEqual(["10.1.0.2/24", "10.1.0.11/24"]);
  });

  it("goes over into the next range of its set", () => {
    const store = new FakeStore();
    const of = sets("10.1.0.0/30,10.2.0.0/30");
    expect(give(store, of, { id: "a" })).toEqual(["10.1.0.2/30"]);
    expect(give(store, of, { id: "b" })).toEqual(["10.2.0.2/30"]);
  });

  it("is one out of each set", () => {
    const store = new FakeStore();
    const of = sets("10.1.0.0/24", "fd00::/64");
    expect(give(store, of)).toEqual(["10.1.0.2/24", "fd00::2/64"]);
    expect(
      allocate(store, { owner: { containerId: "b", ifname: "eth0" }, sets: of, requested: [] }, () => {}),
    ).toMatchObject([{ gateway: parseAddress("10.1.0.1") }, { gateway: parseAddress("fd00::1") }]);
  });

  it("is not given a second time to the same interface", () => {
    const store = new FakeStore();
    const of = sets("10.1.0.0/24");
    give(store, of);
    expect(() => give(store, of)).toThrow(
      expect.objectContaining({
        code: "exists",
        message:
          "failed to allocate for range 0: 10.1.0.2 has been allocated to web, duplicate allocation is not allowed",
      }),
    );
    expect(give(store, of, { ifname: "eth1" })).toEqual(["10.1.0.3/24"]);
    store.put("10.1.0.200", "old");
    expect(() => give(store, of, { id: "old" })).toThrow("10.1.0.200 has been allocated to old");
  });

  it("that the interface holds in another network's range is no obstacle", () => {
    const store = new FakeStore();
    store.put("10.9.0.5", "web\r\neth0");
    expect(give(store, sets("10.1.0.0/24"))).toEqual(["10.1.0.2/24"]);
  });
});

describe("an address asked for", () => {
  it("is given, and the round goes on after it", () => {
    const store = new FakeStore();
    const of = sets("10.1.0.0/24", "fd00::/64");
    expect(give(store, of, { ips: ["fd00::99", "10.1.0.99"] })).toEqual(["10.1.0.99/24", "fd00::99/64"]);
    expect(give(store, of, { id: "b" })).toEqual(["10.1.0.100/24", "fd00::9a/64"]);
  });

  it("is refused if somebody has it, with who", () => {
    const store = new FakeStore();
    store.put("10.1.0.9", "other\r\neth0");
    expect(() => give(store, sets("10.1.0.0/24"), { ips: ["10.1.0.9"] })).toThrow(
      expect.objectContaining({
        code: "conflict",
        message:
          "failed to allocate for range 0: requested IP address 10.1.0.9 is not available in range set 10.1.0.1-10.1.0.254",
        details: "10.1.0.9 is held by other eth0",
      }),
    );
  });

  it("is refused if it is the gateway", () => {
    expect(() => give(new FakeStore(), sets("10.1.0.0/24"), { ips: ["10.1.0.1"] })).toThrow(
      "failed to allocate for range 0: requested ip 10.1.0.1 is subnet's gateway",
    );
  });

  it("is refused if no range has it, before anything is reserved", () => {
    const store = new FakeStore();
    expect(() => give(store, sets("10.1.0.0/24"), { ips: ["10.1.0.9", "10.1.0.10", "10.7.0.1"] })).toThrow(
      expect.objectContaining({ code: "invalid", message: "failed to allocate all requested IPs: 10.1.0.10 10.7.0.1" }),
    );
    expect(store.dump()).toEqual({});
  });

  it("twice is asked for once", () => {
    expect(give(new FakeStore(), sets("10.1.0.0/24"), { ips: ["10.1.0.9", "10.1.0.9"] })).toEqual(["10.1.0.9/24"]);
  });
});

describe("cni row 3: a pool that is used up", () => {
  const of = sets("10.1.0.0/29");
  const full = () => {
    const store = new FakeStore();
    for (const id of ["a", "b", "c", "d"]) give(store, of, { id });
    store.put("10.1.0.6", "the printer's");
    return store;
  };

  it("fails ADD and says who holds what", () => {
    expect(() => give(full(), of)).toThrow(
      expect.objectContaining({
        code: "exhausted",
        message: "failed to allocate for range 0: no IP addresses available in range set: 10.1.0.1-10.1.0.6",
        details: [
          "10.1.0.2 is held by a eth0",
          "10.1.0.3 is held by b eth0",
          "10.1.0.4 is held by c eth0",
          "10.1.0.5 is held by d eth0",
          '10.1.0.6 is held by "the printer\'s"',
        ].join("\n"),
      }),
    );
  });

  it("is what STATUS sees, and no sooner", () => {
    const store = full();
    expect(() => checkNotExhausted(store, of)).toThrow(
      expect.objectContaining({ code: "exhausted", details: expect.stringContaining("10.1.0.2 is held by a eth0") }),
    );
    store.release({ name: "10.1.0.4", address: parseAddress("10.1.0.4") });
    expect(() => checkNotExhausted(store, of)).not.toThrow();
    store.put("10.1.0.4", "");
    expect(() => checkNotExhausted(store, of)).not.toThrow();
    store.put("10.1.0.4", "gone\r\neth0", true);
    expect(() => checkNotExhausted(store, of)).not.toThrow();
  });

  it("takes back what the sets before it gave", () => {
    const store = full();
    const before = store.dump();
    expect(() => give(store, [...sets("10.2.0.0/24"), ...of], { ips: ["10.2.0.7"] })).toThrow(
      "failed to allocate for range 1",
    );
    expect(store.dump()).toEqual(before);
  });

  it("lists no more than a log can take", () => {
    const store = new FakeStore();
    const wide = sets("10.1.0.0/22");
    for (let i = 2n; i < 1023n; i++)
      store.put(formatAddress({ family: 4, value: parseAddress("10.1.0.0").value + i }), "x\r\ny");
    expect(() => give(store, wide)).toThrow(
      expect.objectContaining({ details: expect.stringMatching(/\nand 765 more$/) }),
    );
  });
});

describe("cni row 2: a file that a crash left empty", () => {
  it("is a free address", () => {
    const store = new FakeStore();
    store.put("10.1.0.2", "");
    expect(give(store, sets("10.1.0.0/24"))).toEqual(["10.1.0.2/24"]);
    store.put("10.1.0.9", "");
    expect(give(store, sets("10.1.0.0/24"), { id: "b", ips: ["10.1.0.9"] })).toEqual(["10.1.0.9/24"]);
    expect(store.dump()).toEqual({ "10.1.0.2": "web\r\neth0", "10.1.0.9": "b\r\neth0" });
  });
});

describe("containers row 33: a reservation from before the boot", () => {
  it("is left alone while there are others", () => {
    const store = new FakeStore();
    store.put("10.1.0.2", "gone\r\neth0", true);
    expect(give(store, sets("10.1.0.0/24"))).toEqual(["10.1.0.3/24"]);
    expect(() => give(store, sets("10.1.0.0/24"), { id: "b", ips: ["10.1.0.2"] })).toThrow("is not available");
  });

  it("goes back to the same container and interface, and is logged", () => {
    const store = new FakeStore();
    store.put("10.1.0.77", "web\r\neth0", true);
    const warnings: string[] = [];
    expect(give(store, sets("10.1.0.0/24"), {}, warnings)).toEqual(["10.1.0.77/24"]);
    expect(warnings).toEqual(["address 10.1.0.77 goes to web: it was held by the same container, before the boot"]);
    store.put("10.1.0.78", "web\r\neth1", true);
    expect(give(store, sets("10.1.0.0/24"), { ifname: "eth1", ips: ["10.1.0.78"] })).toEqual(["10.1.0.78/24"]);
  });

  it("is given to another when the range is full, and is logged", () => {
    const store = new FakeStore();
    store.put("10.1.0.2", "gone\r\neth0", true);
    const warnings: string[] = [];
    expect(give(store, sets("10.1.0.0/30"), {}, warnings)).toEqual(["10.1.0.2/30"]);
    expect(warnings).toEqual([
      "address 10.1.0.2 goes to web: it was held by gone eth0 before the boot, as no other is free",
    ]);
    expect(store.dump()).toEqual({ "10.1.0.2": "web\r\neth0" });
  });

  it("made by hand stays, and so does one of this boot", () => {
    const store = new FakeStore();
    store.put("10.1.0.2", "the printer's", true);
    expect(() => give(store, sets("10.1.0.0/30"))).toThrow("no IP addresses available");
    store.put("10.1.0.2", "printer");
    expect(() => give(store, sets("10.1.0.0/30"))).toThrow("no IP addresses available");
  });
});

/** Small subnets of both families, cut and with gateways anywhere in them, so that they fill up. */
const ranges = fc
  .record({
    family: fc.constantFrom(4 as const, 6 as const),
    size: fc.integer({ min: 2, max: 5 }),
    start: fc.nat(31),
    length: fc.nat(31),
    gateway: fc.option(fc.nat(31), { nil: undefined }),
  })
  .map(({ family, size, start, length, gateway }) => ({ family, size, start, length, gateway }));

const configs = fc
  .array(fc.array(ranges, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 2 })
  .map((all) => {
    let number = 0n;
    return all.map((set) =>
      set.map(({ size, start, length, gateway }) => {
        const { family = 4 } = set[0] ?? {};
        number += 1n;
        const base = (family === 4 ? parseAddress("10.0.0.0").value : parseAddress("fd00::").value) + (number << 8n);
        const hosts = 2 ** size - (family === 4 ? 2 : 1);
        const from = 1 + (start % hosts);
        const to = Math.min(hosts, from + length);
        const at = (offset: number) => ({ family, value: base + BigInt(offset) });
        return {
          subnet: { address: { family, value: base }, prefix: (family === 4 ? 32 : 128) - size },
          rangeStart: at(from),
          rangeEnd: at(to),
          ...(gateway === undefined ? {} : { gateway: at(1 + (gateway % hosts)) }),
        };
      }),
    );
  });

const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        op: fc.constant("add" as const),
        id: fc.nat(20),
        ip: fc.option(fc.nat(40), { nil: undefined }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constant("release" as const), id: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant("crash" as const), id: fc.nat(40) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant("reboot" as const) }) },
  ),
  { maxLength: 60 },
);

describe("whatever is asked for, in whatever order", () => {
  it("an address is never out of its range, never a gateway, never given twice, and none is lost", () => {
    fc.assert(
      fc.property(configs, steps, (specs, todo) => {
        const of = buildRangeSets(specs);
        const gateways = of.flat().map(({ gateway }) => gateway);
        const all = of.flatMap((set) => set.flatMap(({ start, end }) => listed(start.family, start.value, end.value)));
        const store = new FakeStore();
        const living = new Map<number, readonly string[]>();
        for (const step of todo) {
          if (step.op === "reboot") {
            living.clear();
            for (const [name, text] of Object.entries(store.dump())) store.put(name, text, true);
          } else if (step.op === "crash") {
            const name = all[step.id % all.length];
            if (name !== undefined && !(name in store.dump())) store.put(name, "");
          } else if (step.op === "release") {
            for (const name of living.get(step.id) ?? []) store.release({ name, address: parseAddress(name) });
            living.delete(step.id);
          } else {
            const wanted = step.ip === undefined ? undefined : all[step.ip % all.length];
            const before = store.dump();
            try {
              const given = give(store, of, { id: `c${step.id}`, ips: wanted === undefined ? [] : [wanted] }).map(
                (cidr) => cidr.split("/")[0] ?? "",
              );
              expect(given).toHaveLength(of.length);
              const others = [...living].filter(([id]) => id !== step.id).flatMap(([, names]) => names);
              for (const [i, name] of given.entries()) {
                const address = parseAddress(name);
                const range = rangeFor(of[i] ?? [], address);
                expect(range && contains(range.subnet, address)).toBe(true);
                expect(gateways.some((gateway) => sameAddress(gateway, address))).toBe(false);
                expect(others).not.toContain(name);
              }
              living.set(step.id, [...new Set([...(living.get(step.id) ?? []), ...given])]);
            } catch (error) {
              expect(error).toMatchObject({ name: "TsnetError" });
              // What was reserved before is reserved still, less what only a reboot had left behind.
              for (const names of living.values())
                for (const name of names) expect(store.dump()[name]).toBe(before[name]);
            }
          }
        }
        // None is lost: with all containers gone and the host booted, each set gives as many as it has.
        for (const [name, text] of Object.entries(store.dump())) store.put(name, text, true);
        const smallest = Math.min(
          ...of
            .map((set) => set.flatMap(({ start, end }) => listed(start.family, start.value, end.value)))
            .map(
              (names) => names.filter((name) => !gateways.some((gateway) => formatAddress(gateway) === name)).length,
            ),
        );
        const fresh = Array.from({ length: smallest }, (_, i) => give(store, of, { id: `fresh${i}` }));
        expect(new Set(fresh.flat()).size).toBe(smallest * of.length);
      }),
      { numRuns: 200 },
    );
  });
});

function listed(family: 4 | 6, from: bigint, to: bigint): readonly string[] {
  const names: string[] = [];
  for (let value = from; value <= to; value++) names.push(formatAddress({ family, value }));
  return names;
}
