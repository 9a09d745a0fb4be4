import { expect, test } from "vitest";
import { nftFailure } from "../../../lib/nft/errors.ts";

const RULE = "add table inet t\nadd rule inet t c ";

// What nft 1.0.6 wrote, and 1.1.3 where it differs. What the kernel of the tests has no example of is here as text.
test.each([
  [
    "a feature that the kernel lacks",
    `${RULE}synproxy mss 1400`,
    "/dev/stdin:2:1-31: Error: Could not process rule: Operation not supported",
    "kernel-lacks",
    /^nft: add rule inet t c synproxy mss 1400: the kernel lacks what this asks for/,
  ],
  [
    "an expression that the kernel has no module of",
    `${RULE}fib daddr type local`,
    "/dev/stdin:2:19-32: Error: Could not process rule: No such file or directory",
    "kernel-lacks",
    /the kernel has no "fib daddr type"$/,
  ],
  [
    "a flowtable that is not there",
    `${RULE}flow add @f`,
    "/dev/stdin:2:19-29: Error: Could not process rule: No such file or directory",
    "not-found",
    /there is no flow add @f$/,
  ],
  [
    "a kernel without nftables",
    "add table inet t",
    "netlink: Error: cache initialization failed: Protocol not supported",
    "kernel-lacks",
    /Protocol not supported/,
  ],
  [
    "a rule that nft cannot read",
    `${RULE}frobnicate`,
    "/dev/stdin:2:29-29: Error: syntax error, unexpected newline",
    "program",
    /^nft: add rule inet t c frobnicate: syntax error, unexpected newline/,
  ],
  [
    "a complaint without a place, which does not blame the first verb",
    `${RULE}dnat to th dport map @m`,
    "internal:0:0-0: Error: conflicting protocols specified: inet-service vs. th",
    "program",
    /^nft: conflicting protocols specified: inet-service vs. th$/,
  ],
  [
    "a chain that is there with another hook, as 1.1.3 says it",
    "add chain inet t c { type nat hook postrouting priority 99; }",
    `/dev/stdin:1:22-59: Error: Chain "c" already exists in table inet 't' with different declaration`,
    "conflict",
    /it is there, made otherwise: delete that first$/,
  ],
  [
    "not being root",
    "add table inet t",
    "/dev/stdin:1:1-16: Error: Could not process rule: Operation not permitted",
    "permission",
    /run as root$/,
  ],
  [
    "not being root, when listing",
    "list tables",
    "Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed: Operation not permitted",
    "permission",
    /run as root$/,
  ],
  ["a program that died", "list tables", "Segmentation fault", "program", /^nft: list tables: Segmentation fault$/],
])("%s", (_, text, stderr, code, message) => {
  const error = nftFailure(`${text}\n`, stderr);
  expect(error.code).toBe(code);
  expect(error.message).toMatch(message);
});

test("columns count bytes, so letters of several do not lead astray", () => {
  const line = 'add element ip t s { 10.0.0.1 comment "é" : goto nowhere }';
  const error = nftFailure(`${line}\n`, "/dev/stdin:1:22-42: Error: Could not process rule: No such file or directory");
  expect(error.code).toBe("not-found");
  expect(error.message).toBe(`nft: ${line}: there is no chain for its verdict`);
});
