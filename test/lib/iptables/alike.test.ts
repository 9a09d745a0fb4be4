import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isTsnetError } from "../../../lib/errors.ts";
import { fakeIptables } from "../../../lib/iptables/iptables.fake.ts";
import type { Iptables } from "../../../lib/iptables/iptables.ts";
import { IptablesTransaction } from "../../../lib/iptables/transaction.ts";
import { kernelIptables } from "./kernel.ts";

type Queue = (tx: IptablesTransaction) => IptablesTransaction;

const table = fc.constantFrom("nat", "filter");
// A chain jumps to later ones only: the kernel refuses loops.
const chain = fc.constantFrom("A", "B");
const label = fc.option(fc.string({ unit: "binary", maxLength: 280 }), { nil: undefined });
const rule = fc.constantFrom(
  { chain: "OUTPUT", rule: "-j A" },
  { chain: "OUTPUT", rule: "-s 10.0.0.1/32 ! -d 10.0.0.0/24 -o eth0 -p udp -m udp --dport 53 -j B" },
  { chain: "A", rule: "-m addrtype --dst-type LOCAL -g B" },
  { chain: "A", rule: "! -i br0 -j ACCEPT" },
  { chain: "B", rule: "-p tcp -m multiport --dports 80,8080 -j RETURN" },
  { chain: "B", rule: "" },
);

const queue: fc.Arbitrary<Queue> = fc.oneof(
  command(fc.record({ table, chain }), (tx, { table, chain }) => tx.newChain(table, chain)),
  command(fc.record({ table, chain }), (tx, { table, chain }) => tx.resetChain(table, chain)),
  command(fc.record({ table, chain }), (tx, { table, chain }) => tx.flushChain(table, chain)),
  command(fc.record({ table, chain }), (tx, { table, chain }) => tx.deleteChain(table, chain)),
  command(fc.record({ table, rule, label }), (tx, { table, rule, label }) =>
    tx.append(table, rule.chain, rule.rule, label),
  ),
  command(fc.record({ table, rule, label }), (tx, { table, rule, label }) =>
    tx.insert(table, rule.chain, rule.rule, label),
  ),
  command(fc.record({ table, rule }), (tx, { table, rule }) => tx.delete(table, rule.chain, rule.rule)),
);

/** A command that a failing run shows as the lines that it writes. */
function command<T>(
  drawn: fc.Arbitrary<T>,
  apply: (tx: IptablesTransaction, drawn: T) => IptablesTransaction,
): fc.Arbitrary<Queue> {
  return drawn.map((values) => {
    const queue: Queue = (tx) => apply(tx, values);
    return Object.assign(queue, { [fc.toStringMethod]: () => queue(new IptablesTransaction()).render() });
  });
}

/** Chains to begin with, so that not all that follows fails. */
function furnish(tx: IptablesTransaction): IptablesTransaction {
  for (const table of ["nat", "filter"] as const) tx.newChain(table, "A").newChain(table, "B");
  return tx;
}

async function outcome(iptables: Iptables, queues: readonly Queue[]): Promise<string> {
  try {
    await iptables.run(
      4,
      queues.reduce((tx, queue) => queue(tx), new IptablesTransaction()),
    );
    return "done";
  } catch (error) {
    // Of several bad commands iptables-nft may name another one first than the double does.
    if (isTsnetError(error)) return queues.length === 1 ? error.code : "refused";
    throw error;
  }
}

describe.each(["nft", "legacy"] as const)("iptables-%s", (variant) => {
  let kernel: Awaited<ReturnType<typeof kernelIptables>>;
  beforeAll(async () => {
    kernel = await kernelIptables(variant);
  });
  afterAll(() => kernel.close());

  test("what a transaction writes, the double and the kernel read alike", async () => {
    const transactions = fc.array(fc.array(queue, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(transactions, async (list) => {
        await kernel.clear();
        const fake = fakeIptables({ variant });
        for (const queues of [[furnish], ...list]) {
          expect(await outcome(fake, queues)).toBe(await outcome(kernel.iptables, queues));
        }
        expect(fake.dump(4)).toBe(await kernel.dump(4));
      }),
      { numRuns: 20 },
    );
  });
});
