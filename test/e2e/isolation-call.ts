/**
 * What of the walls around a test host's networks is missing, as the helper asks.
 *
 *     bun isolation-call.ts      prints what is missing, or `whole`
 *
 * @module
 */
import { missingIsolation } from "../../standalone/isolation/isolation.ts";
import { State } from "../../standalone/state/state.ts";
import type { Host } from "./host.ts";

/** `whole`, or what is missing. */
export async function wallsOn(host: Host): Promise<string> {
  const text = await host.ok([process.execPath, import.meta.filename], { env: { BUN_BE_BUN: "1" } });
  return text.trim();
}

if (import.meta.main) console.log((await missingIsolation(new State().networks())) ?? "whole");
