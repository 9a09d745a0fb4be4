import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { dropForward, NAMES, PLACES, protect, routeFromBeyond } from "./firewalled.ts";
import type { Host } from "./host.ts";
import { listenIn, matrix } from "./reach.ts";
import { world } from "./world.ts";

let host: Host;
beforeEach(async () => {
  host = await world();
  await routeFromBeyond(host);
});
afterEach(() => host.destroy());

const CONTAINERS = ["a1", "a2", "b1", "b2"] as const;

const OPEN = `
a1: a2 b1 b2 host beyond
a2: a1 b1 b2 host beyond
b1: a1 a2 b2 host beyond
b2: a1 a2 b1 host beyond
host: a1 a2 b1 b2 beyond
beyond: host`;

const SAME_BRIDGE = `
a1: a2 host beyond
a2: a1 host beyond
b1: b2 host beyond
b2: b1 host beyond
host: a1 a2 b1 b2 beyond
beyond: host`;

const ISOLATED = `
a1: host beyond
a2: host beyond
b1: host beyond
b2: host beyond
host: a1 a2 b1 b2 beyond
beyond: host`;

describe.each(["iptables", "nftables"])("cni row 21: who reaches whom on %s, where FORWARD drops", (backend) => {
  it.each([
    ["open", OPEN],
    ["same-bridge", SAME_BRIDGE],
    ["isolated", ISOLATED],
  ])("%s", async (ingressPolicy, expected) => {
    await dropForward(host);
    for (const id of CONTAINERS) await protect(host, id, { backend, ingressPolicy });
    await listenIn(host, PLACES);
    expect(`\n${await matrix(host, PLACES, NAMES)}`).toBe(expected);
  });
});
