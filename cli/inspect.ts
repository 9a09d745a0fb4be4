/**
 * `tsnet inspect`: all that is known of a container or a network.
 *
 * @module
 */
import type { Command } from "commander";
import { TsnetError } from "../lib/errors.ts";
import { COMMAND_PROJECT } from "../standalone/file/project.ts";
import { readFacts } from "../standalone/host/facts.ts";
import { idOf } from "../standalone/plan/names.ts";
import { State } from "../standalone/state/state.ts";
import { viewContainer, viewNetwork } from "../standalone/view.ts";
import { type Column, formatOf, type OutputFormat, printJson, printRows, withOutput } from "./output.ts";

export function register(program: Command): void {
  withOutput(program.command("inspect"))
    .description("show all that is known of containers and networks")
    .argument("<name...>", "containers, or networks as PROJECT.NETWORK")
    .addHelpText("after", "\nExamples:\n  tsnet inspect web\n  tsnet inspect hello.front -o json")
    .action((names: readonly string[], options: { readonly output?: unknown }) => {
      const state = new State();
      const found = names.map((name) => inspect(name, state));
      printFound(formatOf(options), found);
    });
}

type Line = readonly [key: string, value: string];

const COLUMNS: readonly Column<Line>[] = [
  { title: "KEY", cell: ([key]) => key },
  { title: "VALUE", cell: ([, value]) => value },
];

function inspect(name: string, state: State): object {
  const network = state.networks().find(({ id }) => id === name);
  if (network !== undefined) return viewNetwork(network, state.containers());
  const record = state.containers().find((container) => container.name === name);
  if (record === undefined) {
    const short = state.networks().find(({ id }) => id === idOf(COMMAND_PROJECT, name));
    if (short !== undefined) return viewNetwork(short, state.containers());
    throw unknown(name, state);
  }
  const { netns, cgroup, start, id } = record;
  return {
    ...viewContainer(record, readFacts(new Set())),
    id,
    netns: netns === "" ? "the host's" : netns,
    ...(cgroup === undefined ? {} : { cgroup }),
    log: `${state.folderOf(name)}/log`,
    ...start,
  };
}

function unknown(name: string, state: State): TsnetError {
  const all = [...state.containers().map((container) => container.name), ...state.networks().map(({ id }) => id)];
  const there = all.length === 0 ? "there are none" : `there are ${all.join(", ")}`;
  return new TsnetError(`no container or network ${name}: ${there}`, { code: "not-found", op: "inspect" });
}

/** Prints what is known of things: as JSON, or each leaf on a line of its own. */
export function printFound(format: OutputFormat, found: readonly object[]): void {
  if (format === "json") printJson(found);
  else for (const one of found) printRows("table", linesOf(one), COLUMNS);
}

/** Every leaf on a line of its own: `interfaces[0].mac`. */
function linesOf(value: unknown, at = ""): readonly Line[] {
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return [[at, value.join(" ") || "-"]];
  if (Array.isArray(value)) return value.flatMap((one, index) => linesOf(one, `${at}[${index}]`));
  if (typeof value !== "object" || value === null) return [[at, String(value)]];
  return Object.entries(value).flatMap(([key, one]) => linesOf(one, at === "" ? key : `${at}.${key}`));
}
