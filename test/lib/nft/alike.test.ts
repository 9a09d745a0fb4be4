import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isTsnetError } from "../../../lib/errors.ts";
import { fakeNft } from "../../../lib/nft/nft.fake.ts";
import type { Nft } from "../../../lib/nft/nft.ts";
import { NftTransaction } from "../../../lib/nft/transaction.ts";
import { kernelNft } from "./kernel.ts";

type Queue = (tx: NftTransaction) => NftTransaction;

const TABLES = [{ family: "inet", table: "one" } as const, { family: "ip", table: "two" } as const];
// A chain jumps to later ones only, and the map's verdicts lead to the last: the kernel refuses loops.
const CHAINS = ["a", "b", "c"] as const;
const PLAIN = { key: "ip saddr" };
const VERDICTS = { key: "ip daddr", value: "verdict" };
const NETS = { key: "ip saddr", flags: ["interval"] } as const;
const OWN = { key: "ip saddr . ip daddr", flags: ["interval"] } as const;
const PORTS = { key: "meta l4proto . th dport", value: "ip daddr . th dport" };

const table = fc.constantFrom(...TABLES);
const chain = fc.constantFrom(...CHAINS);
const label = fc.oneof(
  fc.constant({}),
  fc.string({ unit: "binary", maxLength: 140 }).map((comment) => ({ comment })),
);
const address = fc.integer({ min: 1, max: 3 }).map((last) => `10.0.0.${last}`);
const net = fc.constantFrom("10.0.0.0/24", "10.0.0.128/25", "10.0.1.0/24");
const port = fc.constantFrom("tcp . 80", "udp . 53", "tcp . 8080");
const policy = fc.constantFrom("accept", "drop");
const rule = fc.constantFrom(
  { chain: "a", rule: "jump b" },
  { chain: "a", rule: "goto c" },
  { chain: "a", rule: "drop" },
  { chain: "b", rule: "jump c" },
  { chain: "b", rule: "ip saddr @plain accept" },
  { chain: "base", rule: "ip daddr vmap @verdicts" },
);

const queue: fc.Arbitrary<Queue> = fc.oneof(
  verb(fc.record({ t: table }), (tx, { t }) => tx.addTable(t.family, t.table)),
  verb(fc.record({ t: table }), (tx, { t }) => tx.deleteTable(t.family, t.table)),
  verb(fc.record({ t: table, chain }), (tx, { t, chain }) => tx.addChain({ ...t, chain })),
  verb(fc.record({ t: table, chain }), (tx, { t, chain }) => tx.flushChain({ ...t, chain })),
  verb(fc.record({ t: table, chain }), (tx, { t, chain }) => tx.deleteChain({ ...t, chain })),
  verb(fc.record({ t: table, policy }), (tx, { t, policy }) =>
    tx.addChain({ ...t, chain: "base", hook: { type: "filter", hook: "forward", priority: -1, policy } }),
  ),
  verb(fc.record({ t: table, rule, label }), (tx, { t, rule, label }) => tx.addRule({ ...t, ...rule, ...label })),
  verb(fc.record({ t: table, rule, label }), (tx, { t, rule, label }) => tx.insertRule({ ...t, ...rule, ...label })),
  verb(fc.record({ t: table, label }), (tx, { t, label }) =>
    tx
      .addSet({ ...t, set: "plain", typeof: "ip saddr", ...label })
      .addSet({ ...t, set: "nets", typeof: "ip saddr", flags: ["interval"] })
      .addMap({ ...t, map: "ports", ...PORTS })
      .addMap({ ...t, map: "verdicts", key: "ip daddr", value: "verdict" }),
  ),
  verb(fc.record({ t: table }), (tx, { t }) => tx.flushSet({ ...t, set: "plain" })),
  verb(fc.record({ t: table }), (tx, { t }) => tx.deleteSet({ ...t, set: "plain" })),
  verb(fc.record({ t: table }), (tx, { t }) => tx.flushMap({ ...t, map: "ports" })),
  verb(fc.record({ t: table }), (tx, { t }) => tx.deleteMap({ ...t, map: "verdicts" })),
  verb(fc.record({ t: table, address, label }), (tx, { t, address, label }) =>
    tx.addElement({ ...t, set: "plain", key: address, type: PLAIN, ...label }),
  ),
  verb(fc.record({ t: table, address }), (tx, { t, address }) =>
    tx.createElement({ ...t, set: "plain", key: address, type: PLAIN }),
  ),
  verb(fc.record({ t: table, address }), (tx, { t, address }) =>
    tx.deleteElement({ ...t, set: "plain", key: address, type: PLAIN }),
  ),
  verb(fc.record({ t: table, net }), (tx, { t, net }) => tx.addElement({ ...t, set: "nets", key: net, type: NETS })),
  verb(fc.record({ t: table, net }), (tx, { t, net }) => tx.deleteElement({ ...t, set: "nets", key: net, type: NETS })),
  verb(fc.record({ t: table, address, net, label }), (tx, { t, address, net, label }) =>
    tx.addElement({ ...t, set: "own", type: OWN, key: `${address} . ${net}`, ...label }),
  ),
  verb(fc.record({ t: table, address, net }), (tx, { t, address, net }) =>
    tx.deleteElement({ ...t, set: "own", type: OWN, key: `${address} . ${net}` }),
  ),
  verb(fc.record({ t: table, port, address, label }), (tx, { t, port, address, label }) =>
    tx.addElement({ ...t, set: "ports", type: PORTS, key: port, value: `${address} . 80`, ...label }),
  ),
  verb(fc.record({ t: table, port }), (tx, { t, port }) =>
    tx.deleteElement({ ...t, set: "ports", type: PORTS, key: port }),
  ),
  verb(fc.record({ t: table, address }), (tx, { t, address }) =>
    tx.addElement({ ...t, set: "verdicts", type: VERDICTS, key: address, value: "goto c" }),
  ),
);

/** A verb that a failing run shows as the line that it writes. */
function verb<T>(drawn: fc.Arbitrary<T>, apply: (tx: NftTransaction, drawn: T) => NftTransaction): fc.Arbitrary<Queue> {
  return drawn.map((values) => {
    const queue: Queue = (tx) => apply(tx, values);
    return Object.assign(queue, { [fc.toStringMethod]: () => queue(new NftTransaction()).render() });
  });
}

/** Tables with something in them, so that not all that follows fails. */
function furnish(tx: NftTransaction): NftTransaction {
  for (const t of TABLES) {
    tx.addTable(t.family, t.table).addMap({ ...t, map: "ports", ...PORTS });
    for (const chain of CHAINS) tx.addChain({ ...t, chain });
    tx.addSet({ ...t, set: "plain", typeof: "ip saddr" }).addSet({
      ...t,
      set: "nets",
      typeof: "ip saddr",
      flags: ["interval"],
    });
  }
  return tx;
}

async function outcome(nft: Nft, queues: readonly Queue[]): Promise<string> {
  try {
    await nft.run(queues.reduce((tx, queue) => queue(tx), new NftTransaction()));
    return "done";
  } catch (error) {
    // Of several bad verbs nft may name another one first than the double does.
    if (isTsnetError(error)) return queues.length === 1 ? error.code : "refused";
    throw error;
  }
}

describe.each(["program", "netlink"] as const)("by %s", (by) => {
  let kernel: Awaited<ReturnType<typeof kernelNft>>;
  beforeAll(async () => {
    kernel = await kernelNft(by);
  });
  afterAll(() => kernel.close());

  test("what a transaction writes, the double and the kernel read alike", async () => {
    const transactions = fc.array(fc.array(queue, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(transactions, async (list) => {
        await kernel.clear();
        const fake = fakeNft();
        for (const queues of [[furnish], ...list]) {
          expect(await outcome(fake, queues)).toBe(await outcome(kernel.nft, queues));
        }
        expect(fake.dump()).toBe(await kernel.dump());
      }),
      { numRuns: 30 },
    );
  });
});
