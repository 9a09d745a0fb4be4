/**
 * The host's one helper: its plugins are part of it, so that an interface that somebody took away is back before a
 * process would have been started for it.
 *
 * @module
 */
import { usePlugins } from "../standalone/attach.ts";
import { main as runHelper } from "../standalone/helper/main.ts";
import { executeHere } from "./plugins-here.ts";

/** Serves until nothing is left, and returns the exit code. */
export async function main(): Promise<number> {
  usePlugins(executeHere);
  return runHelper();
}
