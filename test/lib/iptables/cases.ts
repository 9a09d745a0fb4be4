/**
 * What every iptables does, the kernel's two variants and the one in memory: one set of cases, run on all.
 *
 * @module
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ErrorCode, isTsnetError } from "../../../lib/errors.ts";
import type { Iptables } from "../../../lib/iptables/iptables.ts";
import { IPTABLES_COMMENT_BYTES, IptablesTransaction, iptablesComment } from "../../../lib/iptables/transaction.ts";

/** One iptables to try. `dump` is iptables-save in the form of {@link normaliseSave}. */
export interface Subject {
  readonly iptables: Iptables;
  dump(family: 4 | 6): Promise<string>;
  /** Back to no rules at all. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

const WEB = "-s 10.1.0.2/32 ! -d 224.0.0.0/4 -j MASQUERADE";

/** Two tables with a bit of everything. */
export function furnish(): IptablesTransaction {
  return new IptablesTransaction()
    .newChain("filter", "TSNET-FORWARD")
    .append("filter", "TSNET-FORWARD", "-i br0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
    .insert("filter", "FORWARD", "-j TSNET-FORWARD")
    .resetChain("nat", "TSNET-POST")
    .newChain("nat", "TSNET-DNAT")
    .append("nat", "TSNET-POST", WEB, 'tsnet: "c1" of hello')
    .append("nat", "TSNET-DNAT", "-p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.0.2:80", "c1")
    .append("nat", "PREROUTING", "-m addrtype --dst-type LOCAL -j TSNET-DNAT")
    .append("nat", "POSTROUTING", "-j TSNET-POST");
}

const FURNISHED = `*filter
:FORWARD ACCEPT
:TSNET-FORWARD -
-A FORWARD -j TSNET-FORWARD
-A TSNET-FORWARD -i br0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT
:PREROUTING ACCEPT
:TSNET-DNAT -
:TSNET-POST -
-A POSTROUTING -j TSNET-POST
-A PREROUTING -m addrtype --dst-type LOCAL -j TSNET-DNAT
-A TSNET-DNAT -p tcp -m comment --comment c1 -m tcp --dport 8080 -j DNAT --to-destination 10.1.0.2:80
-A TSNET-POST -s 10.1.0.2/32 ! -d 224.0.0.0/4 -m comment --comment "tsnet: \\"c1\\" of hello" -j MASQUERADE
COMMIT
`;

/** Commands that fail on what {@link furnish} made: what is tried, the code, words of the message. */
const FAILURES: readonly (readonly [string, (tx: IptablesTransaction) => IptablesTransaction, ErrorCode, RegExp])[] = [
  ["a rule in no chain", (tx) => tx.append("nat", "NO", "-j ACCEPT"), "not-found", /table nat: -A NO .*no chain NO$/],
  ["a rule first in no chain", (tx) => tx.insert("nat", "NO", "-j ACCEPT"), "not-found", /no chain NO$/],
  ["a jump to no chain", (tx) => tx.append("nat", "TSNET-POST", "-j NO"), "not-found", /no chain NO$/],
  ["flushing no chain", (tx) => tx.flushChain("nat", "NO"), "not-found", /-F NO: there is no chain NO$/],
  ["deleting no chain", (tx) => tx.deleteChain("nat", "NO"), "not-found", /-X NO: there is no chain NO$/],
  ["deleting no rule", (tx) => tx.delete("nat", "TSNET-POST", WEB, "c2"), "not-found", /"c2".*no such rule$/],
  ["deleting a rule of no chain", (tx) => tx.delete("nat", "NO", WEB), "not-found", /-D NO .*no such rule$/],
  [
    "making a chain that is there",
    (tx) => tx.newChain("nat", "TSNET-POST"),
    "exists",
    /-N TSNET-POST: .*there already$/,
  ],
  ["deleting a chain that holds rules", (tx) => tx.deleteChain("nat", "TSNET-POST"), "busy", /-X TSNET-POST: .*rules/],
  [
    "deleting a chain that is jumped to",
    (tx) => tx.flushChain("nat", "TSNET-POST").deleteChain("nat", "TSNET-POST"),
    "busy",
    /-X TSNET-POST: .*jumped to$/,
  ],
];

/** Runs all cases on what `open` opens. */
export function iptablesCases(title: string, open: () => Promise<Subject>): void {
  describe(title, () => {
    let subject: Subject;
    beforeAll(async () => {
      subject = await open();
    });
    beforeEach(() => subject.clear());
    afterAll(() => subject.close());

    const dump = () => subject.dump(4);
    const run = (tx: IptablesTransaction) => subject.iptables.run(4, tx);
    const failure = async (tx: IptablesTransaction): Promise<unknown> =>
      run(tx).then(
        () => "no error",
        (error) => error,
      );

    test("what is written is what is there", async () => {
      await run(furnish());
      expect(await dump()).toBe(FURNISHED);
    });

    test("the two families know nothing of each other", async () => {
      const rule = "-s fd00::2/128 -j MASQUERADE";
      await subject.iptables.run(6, new IptablesTransaction().append("nat", "POSTROUTING", rule, "c1"));
      expect(await dump()).toBe("");
      expect(await subject.dump(6)).toBe(
        "*nat\n:POSTROUTING ACCEPT\n-A POSTROUTING -s fd00::2/128 -m comment --comment c1 -j MASQUERADE\nCOMMIT\n",
      );
    });

    test("an empty transaction is fine and does nothing", async () => {
      await run(new IptablesTransaction());
      expect(await dump()).toBe("");
    });

    test.each(FAILURES)("%s fails, and nothing of the transaction is done", async (_, command, code, words) => {
      await run(furnish());
      const before = new IptablesTransaction()
        .newChain("nat", "TSNET-NEW")
        .append("nat", "TSNET-NEW", "-j RETURN")
        .delete("nat", "POSTROUTING", "-j TSNET-POST")
        .insert("nat", "POSTROUTING", "-j TSNET-POST");
      const error = await failure(command(before).append("nat", "TSNET-DNAT", "-j RETURN"));
      expect(isTsnetError(error, code), String(error)).toBe(true);
      expect(String(error)).toMatch(words);
      expect(await dump()).toBe(FURNISHED);
    });

    test("where a later table fails, the error names the tables that were changed before", async () => {
      const tx = new IptablesTransaction().newChain("filter", "A").newChain("nat", "B").flushChain("nat", "NO");
      const error = await failure(tx);
      expect(isTsnetError(error, "not-found"), String(error)).toBe(true);
      expect(String(error)).toMatch(/table nat: -F NO: there is no chain NO \(changed already: filter\)$/);
      expect(await dump()).toBe("*filter\n:A -\nCOMMIT\n");
    });

    test("resetting a chain makes it, and empties it where it is there", async () => {
      const reset = () => new IptablesTransaction().resetChain("nat", "A").append("nat", "A", "-j RETURN");
      await run(reset());
      await run(reset());
      expect(await dump()).toBe("*nat\n:A -\n-A A -j RETURN\nCOMMIT\n");
    });

    test("all is taken down in one transaction, by the rules as they were written", async () => {
      await run(furnish());
      await run(
        new IptablesTransaction()
          .delete("nat", "TSNET-POST", WEB, 'tsnet: "c1" of hello')
          .delete("nat", "TSNET-DNAT", "-p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.0.2:80", "c1")
          .delete("nat", "PREROUTING", "-m addrtype --dst-type LOCAL -j TSNET-DNAT")
          .delete("nat", "POSTROUTING", "-j TSNET-POST")
          .deleteChain("nat", "TSNET-POST")
          .deleteChain("nat", "TSNET-DNAT")
          .delete("filter", "FORWARD", "-j TSNET-FORWARD")
          .flushChain("filter", "TSNET-FORWARD")
          .deleteChain("filter", "TSNET-FORWARD"),
      );
      expect(await dump()).toBe("");
    });

    test("deleting takes the first of equal rules", async () => {
      const rules = (tx: IptablesTransaction) => tx.append("nat", "A", WEB, "c1").append("nat", "A", "-j RETURN");
      await run(rules(rules(new IptablesTransaction().newChain("nat", "A"))));
      await run(new IptablesTransaction().delete("nat", "A", WEB, "c1"));
      const chain = (await subject.iptables.save(4, ["nat"])).get("nat")?.chains.get("A");
      expect(chain?.rules.map((rule) => rule.comment)).toEqual([undefined, "c1", undefined]);
    });

    test("tables are saved with their chains, policies, rules and comments", async () => {
      await run(furnish());
      const tables = await subject.iptables.save(4, ["nat", "filter"]);
      expect([...tables.keys()].sort()).toEqual(["filter", "nat"]);
      const nat = tables.get("nat");
      expect(nat?.chains.get("POSTROUTING")?.policy).toBe("ACCEPT");
      expect(nat?.chains.get("TSNET-POST")).toEqual({
        chain: "TSNET-POST",
        rules: [
          {
            text: '-s 10.1.0.2/32 ! -d 224.0.0.0/4 -m comment --comment "tsnet: \\"c1\\" of hello" -j MASQUERADE',
            words: "-s 10.1.0.2/32 ! -d 224.0.0.0/4 -m comment --comment"
              .split(" ")
              .concat('tsnet: "c1" of hello', "-j", "MASQUERADE"),
            comment: 'tsnet: "c1" of hello',
          },
        ],
      });
      expect([...(await subject.iptables.save(4)).keys()]).toEqual(expect.arrayContaining(["nat", "filter"]));
    });

    test("a saved rule is deleted by its own text", async () => {
      await run(furnish());
      const rule = (await subject.iptables.save(4, ["nat"])).get("nat")?.chains.get("TSNET-POST")?.rules[0];
      await run(new IptablesTransaction().delete("nat", "TSNET-POST", rule?.text ?? ""));
      expect(await dump()).not.toContain("-A TSNET-POST");
    });

    test.each([
      ["quotes and backslashes", `it's "quoted" \\ and \\" \\n`, `it's "quoted" \\ and \\" \\n`],
      ["what iptables' own grammar uses", "-j DROP ! -s x # ; { COMMIT", "-j DROP ! -s x # ; { COMMIT"],
      ["an option", "-s", "-s"],
      ["an exclamation mark", "!", "!"],
      ["line breaks and control characters", "a\nCOMMIT\r\tc\0d\x7f", "a COMMIT  c d "],
      ["nothing", "", ""],
      ["three hundred letters", "x".repeat(300), "x".repeat(IPTABLES_COMMENT_BYTES)],
      ["letters of several bytes, cut at a letter's border", "é".repeat(200), "é".repeat(127)],
      ["letters of four bytes", `ab${"😀".repeat(80)}`, `ab${"😀".repeat(63)}`],
    ])("a comment of %s is safe", async (_, comment, listed) => {
      expect(iptablesComment(comment)).toBe(listed);
      await run(
        new IptablesTransaction().newChain("nat", "A").append("nat", "A", WEB, comment).append("nat", "A", "-j RETURN"),
      );
      const chain = (await subject.iptables.save(4, ["nat"])).get("nat")?.chains.get("A");
      expect(chain?.rules.map((rule) => rule.comment)).toEqual([listed, undefined]);
      await run(new IptablesTransaction().delete("nat", "A", WEB, comment));
      expect(await dump()).toBe("*nat\n:A -\n-A A -j RETURN\nCOMMIT\n");
    });

    test("names and texts that would break out of their command are refused before anything runs", () => {
      expect(() => new IptablesTransaction().newChain("nat", "-bad")).toThrow(/not a chain name/);
      expect(() => new IptablesTransaction().newChain("nat", "x".repeat(29))).toThrow(/not a chain name/);
      expect(() => new IptablesTransaction().append("nat", "A", "-j RETURN\nCOMMIT")).toThrow(/one line/);
    });
  });
}
