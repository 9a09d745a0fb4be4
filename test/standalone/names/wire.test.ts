/** What of names needs no kernel: messages on a stream, resolvers of a file. */
import { describe, expect, test } from "vitest";
import { Frames, frame } from "../../../standalone/names/frames.ts";
import { parsePointer } from "../../../standalone/names/pointer.ts";
import { Recall } from "../../../standalone/names/recall.ts";
import { parseResolvers } from "../../../standalone/names/resolvers.ts";

describe("messages on a stream", () => {
  const both = Buffer.concat([frame(Buffer.from("one")), frame(Buffer.from("second"))]);

  test("are put together from pieces of any size", () => {
    for (let size = 1; size <= both.length; size++) {
      const frames = new Frames();
      const found: string[] = [];
      for (let at = 0; at < both.length; at += size) {
        found.push(...frames.take(both.subarray(at, at + size)).map((message) => message.toString()));
      }
      expect(found, `pieces of ${size}`).toEqual(["one", "second"]);
    }
  });
});

describe("the host's resolvers", () => {
  test.each([
    ["# a comment\nnameserver 192.168.1.1\n  nameserver\tfd00::53\n", ["192.168.1.1", "fd00::53"]],
    ["nameserver fe80::1%eth0\nsearch lan\n#nameserver 9.9.9.9\n", ["fe80::1%eth0"]],
    ["search lan\n", ["127.0.0.1"]],
    [undefined, ["127.0.0.1"]],
  ])("%j", (text, found) => {
    expect(parseResolvers(text)).toEqual(found);
  });
});

test("an address turned round is none where it is not whole", () => {
  expect(parsePointer("1.2.3.in-addr.arpa")).toBeUndefined();
  expect(parsePointer("1.2.3.256.in-addr.arpa")).toBeUndefined();
  expect(parsePointer(`${"0.".repeat(31)}ip6.arpa`)).toBeUndefined();
  expect(parsePointer("in-addr.arpa")).toBeUndefined();
});

describe("answers that were given before", () => {
  const query = (id: number, name: string) => Buffer.concat([Buffer.of(id >> 8, id & 0xff), Buffer.from(name)]);

  test("are given again under the number of the new question", () => {
    const recall = new Recall();
    recall.keep(query(1, "web"), query(1, "web is here"));
    expect(recall.find(query(258, "web"))).toEqual(query(258, "web is here"));
    expect(recall.find(query(258, "Web"))).toBeUndefined();
  });

  test("are forgotten when there are too many, or when names have changed", () => {
    const recall = new Recall();
    for (let at = 0; at <= 256; at++) recall.keep(query(1, `n${at}`), query(1, "there"));
    expect(recall.find(query(1, "n0"))).toBeUndefined();
    expect(recall.find(query(1, "n256"))).toBeDefined();
    recall.clear();
    expect(recall.find(query(1, "n256"))).toBeUndefined();
  });
});
