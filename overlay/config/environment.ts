/**
 * flannel's flags from the environment: `FLANNELD_ETCD_ENDPOINTS` is `--etcd-endpoints`. The command line goes before,
 * and a variable that is empty counts for nothing.
 *
 * @module
 */
import type { Flags } from "../../lib/daemon/flags.ts";
import { suggest } from "../../lib/suggest.ts";
import { FLAGS } from "./names.ts";

/** The variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = "FLANNELD_";

/** `flags` with those that only the environment has. `warn` is told of variables that are nobody's. */
export function withEnvironment(flags: Flags, environment: Environment, warn: (text: string) => void): Flags {
  const names = new Map(
    Object.entries(FLAGS).flatMap(([name, flag]) => (flag.ours === true ? [] : [[variableOf(name), name] as const])),
  );
  const all: Record<string, readonly string[]> = { ...flags };
  for (const [variable, text = ""] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || text === "") continue;
    const name = names.get(variable);
    if (name !== undefined) all[name] ??= [text];
    else warn(`${variable}: no flag of flannel's is called so${nearest(variable, [...names.keys()])}`);
  }
  return all;
}

function variableOf(name: string): string {
  return PREFIX + name.replaceAll("-", "_").toUpperCase();
}

function nearest(variable: string, known: readonly string[]): string {
  const meant = suggest(variable, known);
  return meant === undefined ? "" : `, the nearest is ${meant}`;
}
