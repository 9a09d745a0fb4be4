import { afterAll, beforeAll, expect, test } from "vitest";
import { shortly, tally } from "./prober.ts";
import { ADDRESSES, crowd, type Family, farm, PODS, type ProxyWorld, proxyWorld } from "./world.ts";

let world: ProxyWorld;
beforeAll(async () => {
  world = await proxyWorld();
});
afterAll(() => world.destroy());

const VIP = { 4: "10.96.0.7", 6: "fd00:10:96::7" } as const;
const families: readonly Family[] = [4, 6];

test.each(families)("everybody reaches every pod as himself, IPv%i", async (family) => {
  for (const protocol of ["tcp", "udp", "sctp"] as const) {
    for (const place of [...PODS, "external", "node", "peer"] as const) {
      for (const pod of PODS) {
        if (place === "external") continue;
        const question = { protocol, address: ADDRESSES[pod][family], port: 8080 };
        const answer = await world.prober.ask(world.netns(place), question);
        expect(`${protocol} ${place} ${shortly(answer)}`).toContain(`${protocol} ${place} ${pod} as `);
      }
    }
  }
});

test("a port that nobody serves is refused, at once", async () => {
  const question = { protocol: "tcp", address: ADDRESSES.local1[4], port: 1 } as const;
  expect(shortly(await world.prober.ask("node", question))).toBe("refused");
});

test.each(families)("DNAT by hand reaches the farm, and a crowd asks, IPv%i", async (family) => {
  const ip = family === 4 ? "ip" : "ip6";
  await world.sh(
    "node",
    `nft -f - <<END
      table ${ip} t {
        chain a { type nat hook prerouting priority dstnat; ${ip} daddr ${VIP[family]} tcp dport 80 dnat to ${ip} daddr . tcp dport map { ${VIP[family]} . 80 : ${farm(9, family)} . 8080 }; }
        chain f { type filter hook forward priority 0; ${ip} daddr ${VIP[family]} tcp dport 81 reject; ${ip} daddr ${VIP[family]} tcp dport 82 drop; }
        chain o { type filter hook output priority 0; ${ip} daddr ${VIP[family]} tcp dport 81 reject; }
      }
END`,
  );
  const at = (port: number) => ({ protocol: "tcp", address: VIP[family], port }) as const;
  const many = Array.from({ length: 1000 }, (_, i) => ({
    ...at(80),
    netns: "external",
    sourceAddress: crowd(i + 1, family),
  }));
  const answers = await world.prober.askAll(many);
  expect(tally(answers, (answer) => ("at" in answer ? answer.at : answer.outcome))).toEqual(
    new Map([[farm(9, family), 1000]]),
  );
  expect(answers.map((answer) => ("source" in answer ? answer.source : ""))).toEqual(
    many.map(({ sourceAddress }) => sourceAddress),
  );
  expect((await world.prober.askOften("external", at(80), 10000)).length).toBe(10000);
  for (const from of ["external", "local1", "node", "remote1"]) {
    expect(shortly(await world.prober.ask(from, at(81)))).toBe("refused");
  }
  expect(shortly(await world.prober.ask("external", { ...at(82), timeoutMs: 300 }))).toBe("dropped");
  const open = await world.prober.open("external", at(80));
  expect(await open.say("hello")).toBe("hello");
  await open.shut();
});
