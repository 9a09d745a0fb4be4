import { expect, test } from "vitest";
import { iptablesFailure } from "../../../lib/iptables/errors.ts";

const TEXT = "*filter\n-A FORWARD -j MASQUERADE\nCOMMIT\n*nat\n-A OUTPUT -m nope -j ACCEPT\nCOMMIT\n";
const HELP = "\nTry `iptables-restore -h' or 'iptables-restore --help' for more information.\n";

// What iptables 1.8.9 wrote; 1.8.11 writes the same. What the kernel of the tests has no example of is here as text.
test.each([
  [
    "a rule that the kernel refuses, nft",
    "iptables-nft-restore v1.8.9 (nf_tables): \nline 2: RULE_APPEND failed (Invalid argument): rule in chain FORWARD",
    "kernel-lacks",
    /table filter: -A FORWARD -j MASQUERADE: the kernel refuses it/,
  ],
  [
    "rules that somebody else flushed between our look and our word, nft",
    "iptables-nft-restore v1.8.9 (nf_tables): \nline 2: RULE_DELETE failed (No such file or directory): rule in chain FORWARD\nline 3: RULE_DELETE failed (No such file or directory): rule in chain FORWARD",
    "not-found",
    /there is no such rule or chain$/,
  ],
  [
    "a table that the kernel refuses, legacy",
    "iptables-restore: line 3 failed",
    "kernel-lacks",
    /table filter: COMMIT: the kernel refuses it/,
  ],
  [
    "a table that the kernel lacks",
    "iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'nat'\n\nError occurred at line: 4",
    "kernel-lacks",
    /cannot be opened.*\(changed already: filter\)$/,
  ],
  [
    "a match that iptables does not know",
    `iptables-restore v1.8.9 (legacy): Couldn't load match \`nope':No such file or directory\n\nError occurred at line: 5${HELP}`,
    "program",
    /Couldn't load match .nope.*\(changed already: filter\)$/,
  ],
  [
    "a chain to go to that is not there, legacy",
    `iptables-restore v1.8.9 (legacy): goto 'B' is not a chain\n\nError occurred at line: 2${HELP}`,
    "not-found",
    /there is no chain B$/,
  ],
  [
    "not being root, nft",
    "iptables-nft-restore v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)",
    "permission",
    /run as root$/,
  ],
  [
    "not being root, legacy",
    "Fatal: can't open lock file /run/xtables.lock: Permission denied",
    "permission",
    /run as root$/,
  ],
  [
    "a lock that stayed held",
    "Can't lock /run/xtables.lock: Resource temporarily unavailable\nAnother app is currently holding the xtables lock. Stopped waiting after 5s.",
    "busy",
    /xtables lock: try again$/,
  ],
])("%s", (_, stderr, code, message) => {
  const error = iptablesFailure({ program: "iptables-restore", text: TEXT, stderr });
  expect(error.code).toBe(code);
  expect(error.message).toMatch(message);
  expect(error.message).not.toContain("Try `");
});

test("a jump to a chain that somebody deleted meanwhile is not-found, not a lack of the kernel's, nft", () => {
  const error = iptablesFailure({
    program: "iptables-nft-restore",
    text: "*nat\n-I POSTROUTING -j TSNET-HAIRPIN\nCOMMIT\n",
    stderr:
      "iptables-nft-restore v1.8.9 (nf_tables): \nline 2: RULE_INSERT failed (No such file or directory): rule in chain POSTROUTING",
  });
  expect(error.code).toBe("not-found");
  expect(error.message).toMatch(/-I POSTROUTING -j TSNET-HAIRPIN: there is no chain TSNET-HAIRPIN$/);
});
