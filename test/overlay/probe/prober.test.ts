import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../lib/daemon/clock.ts";
import { openLog } from "../../../lib/daemon/log.ts";
import { type Address, formatAddress, parseAddress } from "../../../lib/net/address.ts";
import type { ChecksumVerdict } from "../../../overlay/probe/offload.ts";
import { type ProbedPeer, Prober } from "../../../overlay/probe/prober.ts";

let prober: Prober | undefined;
afterEach(() => prober?.stop());

/** Peers that answer as they are told, and what was told of them. */
class World {
  readonly lines: string[] = [];
  readonly events: string[] = [];
  readonly pings: string[][] = [];
  readonly silent = new Set<string>();
  readonly verdicts = new Map<string, ChecksumVerdict[]>();
  checksums = 0;
  atOnce = 0;
  #running = 0;

  open(period: number, checksumMs = 0): Prober {
    prober = new Prober({
      period,
      log: openLog({ format: "text", verbosity: 0, write: (line) => this.lines.push(line) }),
      clock: systemClock,
      onBroken: (host, address) => this.events.push(`broken ${host} ${formatAddress(address)}`),
      onFine: (host, address) => this.events.push(`fine ${host} ${formatAddress(address)}`),
      network: {
        ping: async (addresses) => this.#ping(addresses),
        checksum: async (address) => {
          this.checksums++;
          this.#running++;
          this.atOnce = Math.max(this.atOnce, this.#running);
          await Bun.sleep(checksumMs);
          this.#running--;
          const queue = this.verdicts.get(formatAddress(address)) ?? [];
          return (queue.length > 1 ? queue.shift() : queue[0]) ?? "fine";
        },
      },
    });
    return prober;
  }

  #ping(addresses: readonly Address[]): ReadonlyMap<string, number | undefined> {
    const texts = addresses.map(formatAddress);
    this.pings.push(texts);
    return new Map(texts.map((text) => [text, this.silent.has(text) ? undefined : 0.5]));
  }
}

function peer(n: number, changes: Partial<ProbedPeer> = {}): ProbedPeer {
  return {
    key: `node${n}/4`,
    host: `node${n}`,
    address: parseAddress(`10.244.${n}.0`),
    underlay: parseAddress(`192.0.2.${n}`),
    offload: true,
    ...changes,
  };
}

async function until(what: () => boolean): Promise<void> {
  for (const end = performance.now() + 5000; !what(); await Bun.sleep(5)) {
    if (performance.now() > end) throw new Error("it did not come to that");
  }
}

describe("peers", () => {
  it("are asked one after the other, all of them, again and again", async () => {
    const world = new World();
    world.open(300).replace([peer(1), peer(2), peer(3)]);
    await until(() => world.pings.length >= 6);
    expect(world.pings.slice(0, 6).flat()).toEqual([1, 2, 3, 1, 2, 3].map((n) => `10.244.${n}.0`));
  });

  it("are asked in groups where they are many", async () => {
    const world = new World();
    world.open(500).replace(Array.from({ length: 50 }, (_, i) => peer(i)));
    await until(() => world.pings.length >= 5);
    expect(world.pings.slice(0, 5).map((group) => group.length)).toEqual([10, 10, 10, 10, 10]);
    expect(new Set(world.pings.slice(0, 5).flat()).size).toBe(50);
  });

  it("that leave are asked no more, and those that come are", async () => {
    const world = new World();
    const one = world.open(100);
    one.replace([peer(1)]);
    await until(() => one.rtts.size === 1);
    one.replace([peer(2)]);
    expect(one.rtts.size).toBe(0);
    await until(() => one.rtts.has("node2/4"));
    world.pings.length = 0;
    await until(() => world.pings.length >= 2);
    expect(new Set(world.pings.flat())).toEqual(new Set(["10.244.2.0"]));
  });

  it("are left alone with a period of 0, and once it is stopped", async () => {
    const world = new World();
    world.open(0).replace([peer(1)]);
    await Bun.sleep(250);
    expect(world.pings).toEqual([]);
    const one = world.open(100);
    one.replace([peer(1)]);
    await until(() => world.pings.length > 0);
    one.stop();
    const asked = world.pings.length;
    await Bun.sleep(250);
    expect(world.pings.length).toBe(asked);
  });

  it("have a round-trip time while they answer", async () => {
    const world = new World();
    const one = world.open(100);
    one.replace([peer(1)]);
    await until(() => one.rtts.get("node1/4") === 0.5);
    world.silent.add("10.244.1.0");
    await until(() => one.rtts.size === 0);
    expect(world.events).toEqual([]);
  });
});

describe("row 14: wrong checksums", () => {
  it("are told once, by the peer's name and addresses and the switch, and once when they are right again", async () => {
    const world = new World();
    world.verdicts.set("10.244.1.0", ["fine", "broken", "broken", "broken", "broken", "fine"]);
    world.open(100).replace([peer(1), peer(2)]);
    await until(() => world.events.length === 2);
    expect(world.events).toEqual(["broken node1 10.244.1.0", "fine node1 10.244.1.0"]);
    const warnings = world.lines.filter((line) => line.includes(" WARN "));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("TCP to node1 (192.0.2.1, VTEP 10.244.1.0) is lost");
    expect(warnings[0]).toContain("checksumOffload: false");
  });

  it("are told only if a second look finds them, too", async () => {
    const world = new World();
    world.verdicts.set("10.244.1.0", ["broken", "fine", "broken", "inconclusive", "broken", "unreachable", "fine"]);
    world.open(100).replace([peer(1)]);
    await until(() => world.checksums >= 8);
    expect(world.events).toEqual([]);
    expect(world.lines).toEqual([]);
  });

  it("are looked for where VXLAN leaves them to the card and ping is answered", async () => {
    const world = new World();
    world.verdicts.set("10.244.1.0", ["broken"]).set("10.244.2.0", ["broken"]);
    world.silent.add("10.244.2.0");
    world.open(100).replace([peer(1, { offload: false }), peer(2)]);
    await until(() => world.pings.length >= 4);
    expect([world.checksums, world.events]).toEqual([0, []]);
  });

  it("are looked for on a few peers at once, and hold up nobody's ping", async () => {
    const world = new World();
    world.open(200, 2000).replace(Array.from({ length: 30 }, (_, i) => peer(i)));
    await until(() => world.pings.flat().length >= 90);
    expect(world.atOnce).toBe(8);
  });
});

it("what cannot be asked is said once", async () => {
  const lines: string[] = [];
  let asked = 0;
  prober = new Prober({
    period: 100,
    log: openLog({ format: "text", verbosity: 0, write: (line) => lines.push(line) }),
    clock: systemClock,
    network: {
      ping: async () => {
        asked++;
        throw new Error("socket: EPERM");
      },
      checksum: async () => "fine",
    },
  });
  prober.replace([peer(1)]);
  await until(() => asked >= 3);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("WARN cannot probe peers: socket: EPERM");
});
