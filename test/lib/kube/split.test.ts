import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LineSplitter, ListSplitter } from "../../../lib/kube/split.ts";

/** Bytes of `text` in chunks that end at `cuts`, which are fractions of the whole. */
function chunksOf(text: string, cuts: readonly number[]): Uint8Array[] {
  const bytes = new TextEncoder().encode(text);
  const ends = [...cuts.map((cut) => Math.floor(cut * bytes.length)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, i) => bytes.slice(i === 0 ? 0 : ends[i - 1], end));
}

function splitList(chunks: readonly Uint8Array[]): { entries: unknown[]; frame: unknown } {
  const entries: unknown[] = [];
  const splitter = new ListSplitter((text) => entries.push(JSON.parse(text)));
  for (const chunk of chunks) splitter.push(chunk);
  return { entries, frame: splitter.end() };
}

function splitLines(chunks: readonly Uint8Array[]): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((text) => lines.push(text));
  for (const chunk of chunks) splitter.push(chunk);
  return lines;
}

const CUTS = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 40 });
// Braces, brackets, quotes, backslashes and characters of several bytes, where a careless splitter trips.
const TEXT = fc.string({ unit: fc.constantFrom("{", "}", "[", "]", '"', "\\", ",", ":", "\n", "é", "日", "💥", "a") });
const OBJECT = fc.dictionary(TEXT, fc.jsonValue({ stringUnit: fc.constantFrom("{", "}", '"', "\\", "日", "]", ",") }));

describe("a list", () => {
  test("gives the same objects however it is cut into chunks", () => {
    fc.assert(
      fc.property(fc.array(OBJECT), TEXT, CUTS, fc.constantFrom(0, 2), (items, continued, cuts, indent) => {
        const list = { kind: "ServiceList", metadata: { resourceVersion: "7", continue: continued }, items };
        const { entries, frame } = splitList(chunksOf(JSON.stringify(list, undefined, indent), cuts));
        expect(entries).toEqual(JSON.parse(JSON.stringify(items)));
        expect(frame).toEqual({ ...list, items: [] });
      }),
    );
  });

  test("byte for byte gives the same too", () => {
    const list = { metadata: { resourceVersion: "7" }, items: [{ a: '}]"\\' }, { b: ["日", {}] }] };
    const bytes = new TextEncoder().encode(JSON.stringify(list));
    const { entries } = splitList(Array.from(bytes, (byte) => new Uint8Array([byte])));
    expect(entries).toEqual(list.items);
  });

  test("may have its metadata after its items", () => {
    const { entries, frame } = splitList(chunksOf('{"items":[{"a":1}],"metadata":{"resourceVersion":"7"}}', []));
    expect({ entries, frame }).toEqual({
      entries: [{ a: 1 }],
      frame: { items: [], metadata: { resourceVersion: "7" } },
    });
  });

  test.each(['{"items":null,"metadata":{}}', '{"items":[],"metadata":{}}', '{"items": [ \n ],"metadata":{}}'])(
    "without entries has none: %s",
    (text) => {
      expect(splitList(chunksOf(text, [])).entries).toEqual([]);
    },
  );

  test("has only its own items, not those of a field or of a text in it", () => {
    const list = { metadata: { items: [1], note: '"items":[' }, others: [2], "x.items": [3], items: [{ items: [4] }] };
    const { entries } = splitList(chunksOf(JSON.stringify(list), []));
    expect(entries).toEqual([{ items: [4] }]);
  });

  test("has entries that are no objects as well, for whoever has to say so", () => {
    expect(splitList(chunksOf('{"items":[null, 5,"a,b" ,[1,2]]}', [])).entries).toEqual([null, 5, "a,b", [1, 2]]);
  });

  test("that was cut anywhere is an error at its end", () => {
    const text = JSON.stringify({ metadata: { resourceVersion: "7" }, items: [{ a: 1 }, { b: "c" }] });
    for (let length = 0; length < text.length; length++) {
      expect(() => splitList(chunksOf(text.slice(0, length), [])), text.slice(0, length)).toThrow();
    }
  });
});

describe("lines", () => {
  test("are the same however they are cut into chunks", () => {
    fc.assert(
      fc.property(fc.array(OBJECT), CUTS, (objects, cuts) => {
        const lines = objects.map((object) => JSON.stringify(object));
        expect(splitLines(chunksOf(lines.map((line) => `${line}\n`).join(""), cuts))).toEqual(lines);
      }),
    );
  });

  test("that are empty or not yet ended are none", () => {
    expect(splitLines(chunksOf('{"a":1}\n\n \n{"b":2}\n{"c":', [0.4, 0.8]))).toEqual(['{"a":1}', '{"b":2}']);
  });
});
