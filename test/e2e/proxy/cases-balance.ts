/**
 * How connections are spread over endpoints, and how clients stay with one.
 *
 * @module
 */
import { describe, expect, test } from "vitest";
import type { Stage } from "./cases.ts";
import { evenness } from "./chisquare.ts";
import { addressOf, type Kind, type Svc } from "./manifests.ts";
import { type Question, serverOf, tally } from "./prober.ts";
import { FAMILIES } from "./proxy.ts";
import { crowd, type Family } from "./world.ts";

export function balance(stage: () => Stage): void {
  describe("distribution", () => distribution(stage));
  describe("affinity", () => affinity(stage));
}

/** 60,000 connections may take a while where other tests run beside them. */
const DRAWS_MS = 300_000;

function distribution(stage: () => Stage): void {
  const farms = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => ({ pod: from + i }));
  const svc = (size: number): Svc => ({ name: `spread-${size}`, n: 40, endpoints: farms(1, size) });

  test.each(FAMILIES)(
    "10,000 connections each spread evenly over 2, 3, 7 and 100 endpoints, also when one goes and two come, IPv%i",
    async (family) => {
      for (const size of [2, 3, 7, 100]) {
        await stage().proxy.bring([svc(size)]);
        await isEven(stage(), svc(size), family);
      }
      for (const size of [7, 100]) {
        const middle = Math.ceil(size / 2);
        const endpoints = [...farms(1, middle - 1), ...farms(middle + 1, size), { pod: 201 }, { pod: 202 }];
        await stage().proxy.bring([svc(size)]);
        await stage().proxy.change({ ...svc(size), endpoints });
        await isEven(stage(), { ...svc(size), endpoints }, family);
      }
    },
    DRAWS_MS,
  );
}

// One in ten thousand even draws is as uneven as that; so the draw is repeated once before it is called uneven.
const RARE = 0.0001;

async function isEven({ world }: Stage, svc: Svc, family: Family): Promise<void> {
  const question: Question = { protocol: "tcp", address: addressOf(svc, "clusterIP", family), port: 80 };
  const draw = async () => {
    const counts = tally(await world.prober.askOften("external", question, 10_000), (answer) =>
      "at" in answer ? answer.at : answer.outcome,
    );
    expect(counts.size).toBe(svc.endpoints.length);
    return counts;
  };
  const first = await draw();
  if (evenness([...first.values()]) > RARE) return;
  const second = await draw();
  expect(evenness([...second.values()]), JSON.stringify([...first, ...second])).toBeGreaterThan(RARE);
}

const sticky: Svc = {
  name: "sticky",
  n: 41,
  ports: [{ nodePort: 30041 }],
  externalIP: true,
  loadBalancer: true,
  affinitySeconds: 600,
  endpoints: ["local1", "remote1"],
};

/** Whom each of `clients` of the crowd in external reaches. */
async function reached({ world }: Stage, kind: Kind, family: Family, clients: number): Promise<readonly string[]> {
  const question = {
    netns: "external",
    protocol: "tcp",
    address: addressOf(sticky, kind, family),
    port: kind === "nodePort" ? 30041 : 80,
  } as const;
  const asks = Array.from({ length: clients }, (_, i) => ({ ...question, sourceAddress: crowd(i + 1, family) }));
  return (await world.prober.askAll(asks)).map(serverOf);
}

function affinity(stage: () => Stage): void {
  test.each(FAMILIES)(
    "1,000 clients stay with their endpoint, at every address of the service, IPv%i",
    async (family) => {
      await stage().proxy.bring([sticky]);
      const first = await reached(stage(), "clusterIP", family, 1000);
      expect([...new Set(first)].sort()).toEqual(["local1", "remote1"]);
      for (const kind of ["clusterIP", "nodePort", "externalIP", "loadBalancer"] as const) {
        expect(await reached(stage(), kind, family, 1000)).toEqual(first);
      }
      await stage().proxy.change({ ...sticky, endpoints: ["remote1", "local2", "remote2", "local1"] });
      expect(await reached(stage(), "nodePort", family, 1000)).toEqual(first);
    },
  );

  test.each(FAMILIES)(
    "clients stay by UDP as well, and a Local policy takes those that were elsewhere, IPv%i",
    async (family) => {
      const { world, proxy } = stage();
      const ports = [
        { name: "tcp", nodePort: 30041 },
        { name: "udp", protocol: "udp", nodePort: 30042 },
      ] as const;
      await proxy.bring([{ ...sticky, ports, external: "Local" }]);
      const asks = async (protocol: "tcp" | "udp", kind: Kind) => {
        const question = { netns: "external", protocol, address: addressOf(sticky, kind, family), port: 80 };
        const questions = Array.from({ length: 50 }, (_, i) => ({ ...question, sourceAddress: crowd(i + 1, family) }));
        return (await world.prober.askAll(questions, 3)).map(serverOf);
      };
      for (const protocol of ["udp", "tcp"] as const) {
        const first = await asks(protocol, "clusterIP");
        expect(first.slice(50)).toEqual([...first.slice(0, 50), ...first.slice(0, 50)]);
        expect([...new Set(first)].sort()).toEqual(["local1", "remote1"]);
        expect([...new Set(await asks(protocol, "externalIP"))]).toEqual(["local1"]);
      }
    },
  );

  test.each(FAMILIES)("clients stay with an endpoint in the node's own network, IPv%i", async (family) => {
    const ports = [{ target: 9090, nodePort: 30041 }];
    await stage().proxy.bring([{ ...sticky, ports, endpoints: [{ pod: "node" }, { pod: "peer" }] }]);
    const first = await reached(stage(), "clusterIP", family, 50);
    expect([...new Set(first)].sort()).toEqual(["node", "peer"]);
    for (const kind of ["nodePort", "externalIP"] as const) {
      expect(await reached(stage(), kind, family, 50)).toEqual(first);
    }
  });

  test.each(FAMILIES)("whose endpoint goes gets another and stays there, the rest stay, IPv%i", async (family) => {
    await stage().proxy.bring([sticky]);
    const before = await reached(stage(), "clusterIP", family, 100);
    await stage().proxy.change({ ...sticky, endpoints: ["remote1", "local2", "remote2"] });
    const after = await reached(stage(), "nodePort", family, 100);
    for (const [at, server] of before.entries()) {
      if (server === "remote1") expect(after[at]).toBe("remote1");
      else expect(["remote1", "local2", "remote2"]).toContain(after[at]);
    }
    expect(await reached(stage(), "clusterIP", family, 100)).toEqual(after);
  });

  test.each(FAMILIES)("a client that stays away for the time-out is free again, IPv%i", async (family) => {
    await stage().proxy.bring([{ ...sticky, affinitySeconds: 1 }]);
    const first = await reached(stage(), "clusterIP", family, 40);
    expect(await reached(stage(), "externalIP", family, 40)).toEqual(first);
    // Asking again renews the stay: what is waited for is time itself.
    await Bun.sleep(2500);
    const later = await reached(stage(), "clusterIP", family, 40);
    expect(later.filter((server, at) => server !== first[at]).length).toBeGreaterThan(0);
    expect([...new Set(later)].sort()).toEqual(["local1", "remote1"]);
  });

  test.each(FAMILIES)(
    "an endpoint that goes while a client connects to it does not hold the client, IPv%i",
    async (family) => {
      const { world, proxy } = stage();
      const ip = family === 4 ? "ip" : "ip6";
      const table = `table ${ip} deaf { chain input { type filter hook input priority 0; tcp dport 8080 drop; }; }`;
      await using _ = await world.meanwhile("local2", `nft '${table}'`, `nft delete table ${ip} deaf`);
      await proxy.bring([{ ...sticky, endpoints: ["local2"] }]);
      const question: Question = { protocol: "tcp", address: addressOf(sticky, "clusterIP", family), port: 80 };
      // Its SYN is sent again after one second, and after three.
      const connecting = world.prober.ask("external", { ...question, timeoutMs: 3500 });
      await proxy.change({ ...sticky, endpoints: ["local1", "remote1"] });
      // The first alone: two that come at once on two processors may both find nothing learned.
      const first = await world.prober.ask("external", question);
      const early = [first, ...(await world.prober.askOften("external", question, 10))];
      expect((await connecting).outcome).toBe("dropped");
      const late = await world.prober.askOften("external", question, 10);
      expect(new Set([...early, ...late].map(serverOf)).size).toBe(1);
      expect(["local1", "remote1"]).toContain(serverOf(first));
    },
  );
}
