/**
 * What every nftables does, the kernel's and the one in memory: one set of cases, run on both.
 *
 * @module
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ErrorCode, isTsnetError } from "../../../lib/errors.ts";
import type { Nft } from "../../../lib/nft/nft.ts";
import { NftTransaction, nftComment } from "../../../lib/nft/transaction.ts";

/** One nftables to try. `dump` is its rule set in the form of {@link normalise}. */
export interface Subject {
  readonly nft: Nft;
  dump(): Promise<string>;
  /** Back to no rules at all. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

// As many as all of nft takes.
const COMMENT_BYTES = 127;

const T = { family: "inet", table: "t" } as const;
const PUBLISH = { ...T, set: "publish" } as const;

/** A table with a bit of everything. */
export function furnish(): NftTransaction {
  return new NftTransaction()
    .addTable("inet", "t")
    .addSet({ ...T, set: "local", typeof: "ip saddr . oifname", comment: "who is masqueraded" })
    .addSet({ ...T, set: "nets", typeof: "ip6 saddr", flags: ["interval"] })
    .addMap({ ...T, map: "publish", key: "meta l4proto . th dport", value: "ip daddr . th dport" })
    .addMap({ ...T, map: "dispatch", key: "ip daddr", value: "verdict" })
    .addChain({ ...T, chain: "web" })
    .addChain({ ...T, chain: "post", hook: { type: "nat", hook: "postrouting", priority: 100, policy: "accept" } })
    .addRule({ ...T, chain: "post", rule: "ip saddr . oifname @local masquerade", comment: "the way out" })
    .addRule({ ...T, chain: "post", rule: "ip daddr vmap @dispatch" })
    .insertRule({ ...T, chain: "post", rule: "meta mark 0x00002000 jump web" })
    .addElement({ ...T, set: "local", key: '10.1.0.2 . "eth0"', comment: "c1" })
    .addElement({ ...T, set: "nets", key: "fd00::/64" })
    .addElement({ ...PUBLISH, key: "tcp . 8080", value: "10.1.0.2 . 80", comment: "c1: web" })
    .addElement({ ...PUBLISH, key: "udp . 53", value: "10.1.0.3 . 53" })
    .addElement({ ...T, set: "dispatch", key: "10.9.0.1", value: "goto web" });
}

const FURNISHED = `table inet t {
	set local {
		typeof ip saddr . oifname
		comment "who is masqueraded"
		elements = {
			10.1.0.2 . "eth0" comment "c1"
		}
	}

	set nets {
		typeof ip6 saddr
		flags interval
		elements = {
			fd00::/64
		}
	}

	map publish {
		typeof meta l4proto . th dport : ip daddr . th dport
		elements = {
			tcp . 8080 comment "c1: web" : 10.1.0.2 . 80
			udp . 53 : 10.1.0.3 . 53
		}
	}

	map dispatch {
		typeof ip daddr : verdict
		elements = {
			10.9.0.1 : goto web
		}
	}

	chain web {
	}

	chain post {
		type nat hook postrouting priority 100; policy accept;
		meta mark 0x00002000 jump web
		ip saddr . oifname @local masquerade comment "the way out"
		ip daddr vmap @dispatch
	}
}
`;

/** How the sets of {@link furnish} were declared. */
const TYPES = {
  local: { key: "ip saddr . oifname" },
  own: { key: "ip6 saddr . ip6 daddr . meta l4proto . th dport", flags: ["interval"] },
  publish: { key: "meta l4proto . th dport", value: "ip daddr . th dport" },
  dispatch: { key: "ip daddr", value: "verdict" },
} as const;
const typed = (set: keyof typeof TYPES) => ({ ...T, set, type: TYPES[set] });

/** What elements alone fail with: what is tried, the code, the message. */
const ELEMENT_FAILURES: readonly (readonly [string, (tx: NftTransaction) => NftTransaction, ErrorCode, string])[] = [
  [
    "an element in no table",
    (tx) => tx.addElement({ family: "ip", table: "no", set: "s", key: "10.0.0.1", type: { key: "ip saddr" } }),
    "not-found",
    "nft: add element ip no s { 10.0.0.1 }: there is no table ip no",
  ],
  [
    "an element of no set",
    (tx) => tx.createElement({ ...T, set: "no", key: "10.0.0.1", type: { key: "ip saddr" } }),
    "not-found",
    "nft: create element inet t no { 10.0.0.1 }: there is no set or map no",
  ],
  [
    "deleting no element",
    (tx) => tx.deleteElement({ ...typed("publish"), key: "udp . 80" }),
    "not-found",
    "nft: delete element inet t publish { udp . 80 }: there is no such element",
  ],
  [
    "a verdict to no chain",
    (tx) => tx.addElement({ ...typed("dispatch"), key: "10.9.0.2", value: "jump no" }),
    "not-found",
    "nft: add element inet t dispatch { 10.9.0.2 : jump no }: there is no chain for its verdict",
  ],
  [
    "a key with another value",
    (tx) => tx.addElement({ ...typed("publish"), key: "udp . 53", value: "10.1.0.9 . 53" }),
    "conflict",
    "nft: add element inet t publish { udp . 53 : 10.1.0.9 . 53 }: the key is there with another value: delete that first",
  ],
  [
    "creating a key that is there",
    (tx) => tx.createElement({ ...typed("publish"), key: "udp . 53", value: "10.1.0.3 . 53" }),
    "exists",
    "nft: create element inet t publish { udp . 53 : 10.1.0.3 . 53 }: it is there already",
  ],
];

/** Verbs that fail on what {@link furnish} made: what is tried, the code, words of the message. */
const FAILURES: readonly (readonly [string, (tx: NftTransaction) => NftTransaction, ErrorCode, RegExp])[] = [
  ["deleting a table that is not there", (tx) => tx.deleteTable("ip", "no"), "not-found", /no table ip no$/],
  ["a chain in no table", (tx) => tx.addChain({ family: "ip", table: "no", chain: "c" }), "not-found", /table ip no$/],
  [
    "creating a chain that is there",
    (tx) => tx.createChain({ ...T, chain: "web" }),
    "exists",
    /web: it is there already$/,
  ],
  ["a rule in no chain", (tx) => tx.addRule({ ...T, chain: "no", rule: "accept" }), "not-found", /no chain no$/],
  ["flushing no chain", (tx) => tx.flushChain({ ...T, chain: "no" }), "not-found", /no chain no$/],
  ["deleting no chain", (tx) => tx.deleteChain({ ...T, chain: "no" }), "not-found", /no chain no$/],
  ["a jump to no chain", (tx) => tx.addRule({ ...T, chain: "web", rule: "jump no" }), "not-found", /there is no no$/],
  ["a rule on no set", (tx) => tx.addRule({ ...T, chain: "web", rule: "ip saddr @no accept" }), "not-found", /@no$/],
  ["a handle of no rule", (tx) => tx.deleteRule({ ...T, chain: "post", handle: 9999 }), "not-found", /no 9999$/],
  ["an element of no set", (tx) => tx.addElement({ ...T, set: "no", key: "10.0.0.1" }), "not-found", /set or map no$/],
  [
    "an element in no table",
    (tx) => tx.addElement({ family: "ip", table: "no", set: "s", key: "10.0.0.1" }),
    "not-found",
    /no table ip no$/,
  ],
  [
    "deleting no element",
    (tx) => tx.deleteElement({ ...PUBLISH, key: "tcp . 81" }),
    "not-found",
    /tcp \. 81.*no such element$/,
  ],
  [
    "deleting no interval",
    (tx) => tx.deleteElement({ ...T, set: "nets", key: "fd00:1::/64" }),
    "not-found",
    /fd00:1::\/64.*no such element$/,
  ],
  [
    "a verdict to no chain",
    (tx) => tx.addElement({ ...T, set: "dispatch", key: "10.9.0.2", value: "goto no" }),
    "not-found",
    /goto no.*no chain for its verdict$/,
  ],
  ["flushing no set", (tx) => tx.flushSet({ ...T, set: "no" }), "not-found", /no set no$/],
  ["deleting no set", (tx) => tx.deleteSet({ ...T, set: "no" }), "not-found", /no set no$/],
  ["flushing no map", (tx) => tx.flushMap({ ...T, map: "no" }), "not-found", /no map no$/],
  ["flushing a map as a set", (tx) => tx.flushSet({ ...T, set: "publish" }), "not-found", /no set publish$/],
  ["deleting no map", (tx) => tx.deleteMap({ ...T, map: "no" }), "not-found", /no map no$/],
  ["deleting a map in use", (tx) => tx.deleteMap({ ...T, map: "dispatch" }), "busy", /map inet t dispatch.*in use/],
  [
    "a map's key with another value",
    (tx) => tx.addElement({ ...PUBLISH, key: "tcp . 8080", value: "10.1.0.9 . 80", comment: "c9" }),
    "conflict",
    /inet t publish .* tcp \. 8080 .*another value/,
  ],
  [
    "a chain with another hook",
    (tx) => tx.addChain({ ...T, chain: "post", hook: { type: "nat", hook: "postrouting", priority: 99 } }),
    "conflict",
    /chain inet t post/,
  ],
  [
    "a set of another type",
    (tx) => tx.addSet({ ...T, set: "nets", typeof: "ip saddr", flags: ["interval"] }),
    "conflict",
    /set inet t nets/,
  ],
  [
    "an interval over another",
    (tx) => tx.addElement({ ...T, set: "nets", key: "fd00::8:0/112" }),
    "conflict",
    /inet t nets .*overlaps/,
  ],
  [
    "creating a key that is there",
    (tx) => tx.createElement({ ...PUBLISH, key: "udp . 53", value: "10.1.0.3 . 53" }),
    "exists",
    /udp \. 53/,
  ],
  [
    "deleting a chain that is jumped to",
    (tx) => tx.deleteChain({ ...T, chain: "web" }),
    "busy",
    /chain inet t web.*in use/,
  ],
  ["deleting a set in use", (tx) => tx.deleteSet({ ...T, set: "local" }), "busy", /set inet t local.*in use/],
];

/** Runs all cases on what `open` opens. */
export function nftCases(title: string, open: () => Promise<Subject>): void {
  describe(title, () => {
    let subject: Subject;
    beforeAll(async () => {
      subject = await open();
    });
    beforeEach(() => subject.clear());
    afterAll(() => subject.close());

    const dump = () => subject.dump();
    const run = (tx: NftTransaction) => subject.nft.run(tx);
    const failure = async (tx: NftTransaction): Promise<unknown> =>
      run(tx).then(
        () => "no error",
        (error) => error,
      );

    test("what is written is what is there", async () => {
      await run(furnish());
      expect(await dump()).toBe(FURNISHED);
    });

    test("adding all of it again changes nothing but doubles the rules", async () => {
      await run(furnish());
      await run(furnish().flushChain({ ...T, chain: "post" }));
      expect(await dump()).toBe(FURNISHED.replace(/policy accept;\n[^}]*/, "policy accept;\n\t"));
    });

    test("an empty transaction is fine and does nothing", async () => {
      await run(new NftTransaction());
      expect(await dump()).toBe("");
    });

    test.each(FAILURES)("%s fails, and nothing of the transaction is done", async (_, verb, code, words) => {
      await run(furnish());
      const before = new NftTransaction()
        .addElement({ ...PUBLISH, key: "tcp . 1", value: "10.1.0.2 . 1" })
        .deleteElement({ ...PUBLISH, key: "tcp . 8080" })
        .addElement({ ...PUBLISH, key: "tcp . 8080", value: "10.1.0.2 . 80" })
        .addRule({ ...T, chain: "web", rule: "drop" });
      const error = await failure(verb(before).addTable("ip6", "later"));
      expect(isTsnetError(error, code), String(error)).toBe(true);
      expect(String(error)).toMatch(words);
      expect(await dump()).toBe(FURNISHED);
    });

    test("a key is replaced by deleting and adding it in one transaction", async () => {
      await run(furnish());
      const key = { ...PUBLISH, key: "tcp . 8080" };
      await run(new NftTransaction().deleteElement(key).addElement({ ...key, value: "10.1.0.9 . 81", comment: "c9" }));
      expect(await dump()).toContain('\t\t\ttcp . 8080 comment "c9" : 10.1.0.9 . 81\n');
    });

    test("elements alone are added and deleted, in sets and maps of every kind", async () => {
      const own = "fd00::2 . fd00::/64 . tcp . 8080";
      await run(furnish().addSet({ ...T, set: "own", typeof: TYPES.own.key, flags: ["interval"] }));
      const before = await dump();
      await run(
        new NftTransaction()
          .createElement({ ...typed("local"), key: '10.1.0.3 . "veth0123abcd"', comment: 'it\'s "c2"' })
          .createElement({ ...typed("own"), key: own, comment: "x".repeat(200) })
          .addElement({ ...typed("publish"), key: "sctp . 65535", value: "10.1.0.2 . 1", comment: "" })
          .addElement({ ...typed("dispatch"), key: "10.9.0.2", value: "jump web", comment: "é" })
          .addElement({ ...typed("dispatch"), key: "10.9.0.3", value: "drop" }),
      );
      const table = await subject.nft.list("inet", "t");
      const elements = [...(table?.sets.values() ?? [])].flatMap((set) => set.elements);
      expect(elements).toEqual(
        expect.arrayContaining([
          { key: '10.1.0.3 . "veth0123abcd"', comment: "it's 'c2'" },
          { key: own, comment: "x".repeat(COMMENT_BYTES) },
          { key: "sctp . 65535", value: "10.1.0.2 . 1", comment: "" },
          { key: "10.9.0.2", value: "jump web", comment: "é" },
          { key: "10.9.0.3", value: "drop" },
        ]),
      );
      await run(
        new NftTransaction()
          .deleteElement({ ...typed("local"), key: '10.1.0.3 . "veth0123abcd"' })
          .deleteElement({ ...typed("own"), key: own })
          .deleteElement({ ...typed("publish"), key: "sctp . 65535" })
          .deleteElement({ ...typed("dispatch"), key: "10.9.0.2" })
          .deleteElement({ ...typed("dispatch"), key: "10.9.0.3" }),
      );
      expect(await dump()).toBe(before);
    });

    test.each(ELEMENT_FAILURES)("of elements alone, %s fails, and nothing is done", async (_, verb, code, message) => {
      await run(furnish());
      const before = new NftTransaction()
        .addElement({ ...typed("publish"), key: "tcp . 1", value: "10.1.0.2 . 1" })
        .deleteElement({ ...typed("dispatch"), key: "10.9.0.1" });
      const error = await failure(
        verb(before).addElement({ ...typed("publish"), key: "tcp . 2", value: "10.1.0.2 . 2" }),
      );
      expect(isTsnetError(error, code), String(error)).toBe(true);
      expect(String(error)).toBe(`TsnetError: ${message}`);
      expect(await dump()).toBe(FURNISHED);
    });

    test("adding the same element again keeps its first comment", async () => {
      await run(furnish());
      await run(
        new NftTransaction().addElement({ ...PUBLISH, key: "tcp . 8080", value: "10.1.0.2 . 80", comment: "c2" }),
      );
      expect(await dump()).toBe(FURNISHED);
    });

    test("a chain goes with its rules once nobody jumps to it", async () => {
      await run(furnish().addRule({ ...T, chain: "web", rule: "drop" }));
      const post = (await subject.nft.list("inet", "t"))?.chains.get("post");
      await run(
        new NftTransaction()
          .deleteRule({ ...T, chain: "post", handle: post?.rules[0]?.handle ?? 0 })
          .flushMap({ ...T, map: "dispatch" })
          .deleteChain({ ...T, chain: "web" }),
      );
      const expected = FURNISHED.replace("\t\tmeta mark 0x00002000 jump web\n", "")
        .replace("\t\telements = {\n\t\t\t10.9.0.1 : goto web\n\t\t}\n", "")
        .replace("\tchain web {\n\t}\n\n", "");
      expect(await dump()).toBe(expected);
    });

    test("sets and maps that no rule uses are deleted with their elements", async () => {
      await run(furnish());
      await run(new NftTransaction().deleteMap({ ...T, map: "publish" }).deleteSet({ ...T, set: "nets" }));
      const table = await subject.nft.list("inet", "t");
      expect([...(table?.sets.keys() ?? [])]).toEqual(["local", "dispatch"]);
    });

    test("deleting the table deletes all, and a table that may be absent is added first", async () => {
      await run(furnish());
      await run(new NftTransaction().deleteTable("inet", "t"));
      expect(await dump()).toBe("");
      await run(new NftTransaction().addTable("inet", "t").deleteTable("inet", "t"));
      expect(await dump()).toBe("");
    });

    test("a table is listed with its chains, sets, elements and comments", async () => {
      await run(furnish());
      const table = await subject.nft.list("inet", "t");
      expect([...(table?.chains.keys() ?? [])].sort()).toEqual(["post", "web"]);
      const post = table?.chains.get("post");
      expect(post?.hook).toEqual({ type: "nat", hook: "postrouting", priority: 100, policy: "accept" });
      expect(table?.chains.get("web")?.hook).toBeUndefined();
      expect(post?.rules.map((rule) => rule.comment)).toEqual([undefined, "the way out", undefined]);
      const elements = (set: string) =>
        [...(table?.sets.get(set)?.elements ?? [])].sort((a, b) => (a.key < b.key ? -1 : 1));
      expect(elements("local")).toEqual([{ key: '10.1.0.2 . "eth0"', comment: "c1" }]);
      expect(elements("nets")).toEqual([{ key: "fd00::/64" }]);
      expect(elements("dispatch")).toEqual([{ key: "10.9.0.1", value: "goto web" }]);
      expect(elements("publish")).toEqual([
        { key: "tcp . 8080", value: "10.1.0.2 . 80", comment: "c1: web" },
        { key: "udp . 53", value: "10.1.0.3 . 53" },
      ]);
      expect(table?.sets.get("local")).toMatchObject({ kind: "set", flags: [], comment: "who is masqueraded" });
      expect(table?.sets.get("nets")).toMatchObject({ kind: "set", flags: ["interval"] });
      expect(table?.sets.get("publish")).toMatchObject({ kind: "map" });
    });

    test("a table that is not there is listed as undefined", async () => {
      expect(await subject.nft.list("inet", "t")).toBeUndefined();
    });

    test("tables and base chains of everybody are listed", async () => {
      const other = { family: "ip", table: "other" } as const;
      const hook = { type: "filter", hook: "forward", priority: -5, policy: "drop" } as const;
      await run(
        furnish()
          .addTable("ip", "other")
          .addChain({ ...other, chain: "f", hook }),
      );
      expect(await subject.nft.tables()).toEqual([T, other]);
      expect(await subject.nft.baseChains()).toEqual([
        { ...T, chain: "post", hook: { type: "nat", hook: "postrouting", priority: 100, policy: "accept" } },
        { ...other, chain: "f", hook },
      ]);
    });

    test.each([
      ["quotes and backslashes", `it's "quoted" \\ and \\" \\n`, `it's 'quoted' \\ and \\' \\n`],
      [
        "what nft's own grammar uses",
        "a } ; { : # , comment ' 10.0.0.1 @x goto y",
        "a } ; { : # , comment ' 10.0.0.1 @x goto y",
      ],
      ["line breaks and control characters", "a\nb\r\tc\0d\x7f", "a b  c d "],
      ["nothing", "", ""],
      ["two hundred letters", "x".repeat(200), "x".repeat(COMMENT_BYTES)],
      ["letters of several bytes, cut at a letter's border", "é".repeat(100), "é".repeat(63)],
      ["letters of four bytes", `ab${"😀".repeat(50)}`, `ab${"😀".repeat(31)}`],
    ])("a comment of %s is safe", async (_, comment, listed) => {
      expect(nftComment(comment)).toBe(listed);
      await run(
        furnish()
          .addElement({ ...PUBLISH, key: "tcp . 1", value: "10.1.0.2 . 1", comment })
          .addRule({ ...T, chain: "web", rule: "drop", comment })
          .addSet({ ...T, set: "labelled", typeof: "ip saddr", comment }),
      );
      const table = await subject.nft.list("inet", "t");
      expect(table?.sets.get("publish")?.elements.find((element) => element.key === "tcp . 1")?.comment).toBe(listed);
      expect(table?.chains.get("web")?.rules[0]?.comment).toBe(listed);
      expect(table?.sets.get("labelled")?.comment).toBe(listed);
      expect(await dump()).toContain(`\t\tdrop comment "${listed}"\n`);
    });

    test("names and texts that would break out of their verb are refused before anything runs", () => {
      expect(() => new NftTransaction().addTable("inet", "a; flush ruleset")).toThrow(/not a name/);
      expect(() => new NftTransaction().addElement({ ...PUBLISH, key: "tcp . 1\nflush ruleset" })).toThrow(/one line/);
    });
  });
}
