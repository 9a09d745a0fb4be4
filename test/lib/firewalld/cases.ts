/**
 * What a firewalld answers, call by call: the real one and the double have to agree.
 *
 * @module
 */
import { isTsnetError } from "../../../lib/errors.ts";
import type { Firewalld } from "../../../lib/firewalld/firewalld.ts";

const [FOUR, SIX, OTHER] = ["192.0.2.5/32", "2001:db8::5/128", "192.0.2.6/32"];

/** One line a call: what was done, and what came of it. */
export async function transcript(firewalld: Firewalld): Promise<readonly string[]> {
  const lines: string[] = [];
  const tell = async (what: string, work: () => Promise<unknown>) => {
    try {
      lines.push(`${what}: ${JSON.stringify(await work()) ?? "done"}`);
    } catch (error) {
      lines.push(`${what}: ${isTsnetError(error) ? error.code : String(error)}`);
    }
  };
  const missing = (zone: string) => firewalld.missingSources(zone, [FOUR, SIX, OTHER]);
  await tell("runs", () => firewalld.isRunning());
  await tell("add two", () => firewalld.addSources("trusted", [FOUR, SIX]));
  await tell("missing of three", () => missing("trusted"));
  await tell("add again", () => firewalld.addSources("trusted", [SIX, FOUR]));
  await tell("add to another zone", () => firewalld.addSources("public", [OTHER, FOUR]));
  await tell("missing in the other zone, where none was added", () => missing("public"));
  await tell("add to no zone", () => firewalld.addSources("nowhere", [OTHER]));
  await tell("missing in no zone", () => missing("nowhere"));
  await tell("remove from no zone", () => firewalld.removeSources("nowhere", [OTHER]));
  await tell("remove from another zone", () => firewalld.removeSources("public", [FOUR]));
  await tell("still there", () => missing("trusted"));
  await tell("remove three", () => firewalld.removeSources("trusted", [FOUR, SIX, OTHER]));
  await tell("remove again", () => firewalld.removeSources("trusted", [FOUR]));
  await tell("missing then", () => missing("trusted"));
  return lines;
}

export const EXPECTED = [
  "runs: true",
  "add two: done",
  `missing of three: ["${OTHER}"]`,
  "add again: done",
  "add to another zone: conflict",
  `missing in the other zone, where none was added: ["${FOUR}","${SIX}","${OTHER}"]`,
  "add to no zone: invalid",
  `missing in no zone: ["${FOUR}","${SIX}","${OTHER}"]`,
  "remove from no zone: done",
  "remove from another zone: done",
  `still there: ["${OTHER}"]`,
  "remove three: done",
  "remove again: done",
  `missing then: ["${FOUR}","${SIX}","${OTHER}"]`,
];
