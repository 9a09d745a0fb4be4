import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Host } from "../../e2e/host.ts";
import { normalise } from "../../lib/nft/kernel.ts";
import { BackendAgent, type PlainTable } from "./agent.ts";
import { dozen, type Family, type Port, tableOf } from "./tables.ts";

let host: Host;
beforeAll(async () => {
  host = await Host.create();
});
afterAll(() => host.destroy());
beforeEach(() => host.ok(["nft", "flush", "ruleset"]));

const NFT_FAMILY = { 4: "ip", 6: "ip6" } as const;

/** What nft lists, objects too in one order: what was made later stands behind. */
async function listed(family: Family): Promise<string> {
  const text = normalise(await host.ok(["nft", "-s", "-y", "list", "table", NFT_FAMILY[family], "tsnet-proxy"]));
  return text
    .replace(/^table .*\n|^\}\n/gm, "")
    .split(/\n\n|\n(?=\t(?:map|set|chain) )/)
    .map((block) => block.trim())
    .sort()
    .join("\n\n");
}

function withPorts(base: PlainTable, ports: readonly (Port | readonly Port[])[], family: Family): PlainTable {
  return { ...base, services: { ...base.services, ...tableOf(ports, family).services } };
}

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { maxLength: 4 });
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

/** One of four services in any state, or that it is gone. */
const service = fc.record({
  id: fc.integer({ min: 1, max: 4 }),
  gone: fc.boolean(),
  ports: fc.array(
    fc.record({
      protocol: fc.constantFrom("tcp", "udp", "sctp"),
      here: ids,
      there: ids,
      served: maybe(fc.constant(true)),
      internal: maybe(fc.constant("Local")),
      external: maybe(fc.constant("Local")),
      nodePort: fc.boolean(),
      externalIP: fc.boolean(),
      loadBalancer: maybe(
        fc.constantFrom([], ["203.0.113.0/24", "2001:db8:203::/64"], ["192.0.2.0/24", "192.0.2.128/25"]),
      ),
      affinitySeconds: maybe(fc.constantFrom(10, 10800)),
      target: fc.constantFrom(8080, 8081),
    }),
    { minLength: 1, maxLength: 2 },
  ),
});

type Change = typeof service extends fc.Arbitrary<infer T> ? T : never;

function apply(table: PlainTable, { id, gone, ports }: Change, family: Family): PlainTable {
  const name = `random/s${id}`;
  const rest = Object.fromEntries(Object.entries(table.services).filter(([key]) => key !== name));
  if (gone) return { ...table, services: rest };
  const list = ports.map(
    ({ nodePort, served, internal, external, loadBalancer, ...port }, index): Port => ({
      ...port,
      name: `${name}:p${index}`,
      // Services may pass an address to each other.
      n: 20 + id,
      port: 80 + index,
      affinitySeconds: port.affinitySeconds,
      ...(nodePort ? { nodePort: 30000 + id * 10 + index } : {}),
      ...(served === undefined ? {} : { served }),
      ...(internal === "Local" ? { internal } : {}),
      ...(external === "Local" ? { external } : {}),
      ...(loadBalancer === undefined ? {} : { loadBalancer }),
    }),
  );
  return withPorts({ ...table, services: rest }, [list], family);
}

describe.each([4, 6] as const)("IPv%i", (family) => {
  test("after any changes the kernel holds what a fresh build would", async () => {
    await using backend = BackendAgent.start(host, { family });
    await using other = BackendAgent.start(host, { family });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(service, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 6 }),
        async (batches) => {
          let table = dozen(family);
          await backend.replace(table);
          for (const batch of batches) {
            for (const change of batch) table = apply(table, change, family);
            await backend.update(table);
            expect(await backend.audit()).toEqual([]);
          }
          await backend.sweep();
          expect(await backend.intact()).toBe(true);
          const changed = await listed(family);
          await other.remove();
          await other.replace(table);
          expect(changed).toBe(await listed(family));
        },
      ),
      { numRuns: 15 },
    );
  });

  test("an address passes from one service to another, both in one batch", async () => {
    await using backend = BackendAgent.start(host, { family });
    const before = tableOf(
      [
        { name: "a/one", n: 1, here: [1] },
        { name: "a/two", n: 2, here: [2] },
      ],
      family,
    );
    const after = tableOf(
      [
        { name: "a/two", n: 1, here: [2] },
        { name: "a/three", n: 2, here: [1] },
      ],
      family,
    );
    await backend.replace(before);
    await backend.update(after);
    expect(await backend.audit()).toEqual([]);
  });
});

test("one endpoint replaced is one element less and one more (row 6)", async () => {
  await using backend = BackendAgent.start(host, {});
  const table = (last: number) => withPorts(dozen(4), [{ name: "a/one", n: 1, there: [1, 2, last] }], 4);
  await backend.replace(table(3));
  expect(await backend.update(table(4))).toEqual({ written: 2, changed: true });
  expect(await backend.update(table(4))).toEqual({ written: 0, changed: false });
});

test("two hundred services are made of the chains, rules and maps of one (row 6)", async () => {
  await using backend = BackendAgent.start(host, {});
  const services = (count: number) =>
    tableOf(
      Array.from({ length: count }, (_, i) => ({ name: `a/s${i}`, n: i + 1, nodePort: 30000 + i, there: [1, 2, 3] })),
      4,
    );
  const withoutElements = async () =>
    (await listed(4)).replace(/\telements = \{[^}]*\}/g, "").replace(/\n\s*\n/g, "\n");
  await backend.replace(services(1));
  const one = await withoutElements();
  expect(one).toContain("chain nodeport-pick-3 {");
  await backend.update(services(200));
  expect(await withoutElements()).toBe(one);
});

test("chains and sets that are not used any more go after a moment, with the next change", async () => {
  await using backend = BackendAgent.start(host, {});
  const one = (n: number) => withPorts(dozen(4), [{ name: "a/one", n: 30, there: [1, 2, 3, 4, 5].slice(0, n) }], 4);
  await backend.replace(one(4));
  await backend.update(one(5));
  expect(await listed(4)).toContain("chain pick-4 {");
  // Kernels before 6.2 need that moment.
  await expect
    .poll(
      async () => {
        await backend.update(withPorts(one(5), [{ name: "a/two", n: 31, there: [(Date.now() % 200) + 1] }], 4));
        return (await listed(4)).includes("chain pick-4 {");
      },
      { timeout: 10_000 },
    )
    .toBe(false);
  expect(await backend.intact()).toBe(true);
});

describe("clients keep their endpoints", () => {
  const affinity = (here: readonly number[], seconds: number | undefined = 10800, target = 8080) =>
    withPorts(dozen(4), [{ name: "a/one", n: 40, here, affinitySeconds: seconds, target }], 4);
  const learn = (client: string, endpoint: string, port = 8080) =>
    host.ok(["nft", `add element ip tsnet-proxy affinity/a/one/tcp/${port} { ${client} : ${endpoint} }`]);
  const known = async (port = 8080) =>
    /elements = \{(.*?)\}/s
      .exec(await host.ok(["nft", "-s", "-y", "list", "map", "ip", "tsnet-proxy", `affinity/a/one/tcp/${port}`]))?.[1]
      ?.match(/\d+\.\S+ \S*\s*(?:expires \S+ )?: \S+\d/g)
      ?.map((each) => each.replace(/^(\S+) .*: (\S+)$/, "$1 $2"))
      .sort() ?? [];

  test("across a restart, but for those whose endpoint has gone meanwhile", async () => {
    {
      await using backend = BackendAgent.start(host, {});
      await backend.replace(affinity([1, 2]));
      await learn("10.9.0.1", "10.244.1.1");
      await learn("10.9.0.2", "10.244.1.2");
    }
    await using backend = BackendAgent.start(host, {});
    await backend.replace(affinity([2, 3]));
    expect(await known()).toEqual(["10.9.0.2 10.244.1.2"]);
  });

  test("when another endpoint comes or goes, or the time-out changes", async () => {
    await using backend = BackendAgent.start(host, {});
    await backend.replace(affinity([1, 2]));
    for (let client = 1; client <= 50; client++) await learn(`10.9.0.${client}`, `10.244.1.${(client % 2) + 1}`);
    await backend.update(affinity([1, 2, 3]));
    await backend.update(affinity([1, 2, 3], 60));
    expect(await known()).toHaveLength(50);
    await backend.update(affinity([1, 3], 60));
    expect((await known()).every((each) => each.endsWith(" 10.244.1.1"))).toBe(true);
    expect(await known()).toHaveLength(25);
  });

  test("but forget them with the affinity itself, and with the last endpoint", async () => {
    await using backend = BackendAgent.start(host, {});
    await backend.replace(affinity([1]));
    await learn("10.9.0.1", "10.244.1.1");
    await backend.update(affinity([], undefined));
    await backend.update(affinity([1]));
    expect(await known()).toEqual([]);
  });
});
