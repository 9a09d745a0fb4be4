/**
 * Has the firewalld of a test host answer the cases of test/lib/firewalld.
 *
 *     bun firewalld-call.ts      prints what came of each
 *
 * @module
 */
import { realFirewalld } from "../../lib/firewalld/firewalld.ts";
import { transcript } from "../lib/firewalld/cases.ts";
import type { Host } from "./host.ts";

/** What it answered, one line a call. */
export async function askFirewalld(host: Host): Promise<readonly string[]> {
  // vitest under Bun: its own executable is the runtime to start.
  const said = await host.ok([process.execPath, import.meta.filename], { env: { BUN_BE_BUN: "1" } });
  return said.trimEnd().split("\n");
}

if (import.meta.main) console.log((await transcript(realFirewalld())).join("\n"));
