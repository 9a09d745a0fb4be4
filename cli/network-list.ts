/**
 * `tsnet network ls` and `inspect`: the networks that there are.
 *
 * @module
 */
import type { Command } from "commander";
import { parseLabel } from "../standalone/file/rules.ts";
import { findNetwork, shortName } from "../standalone/networks/find.ts";
import type { NetworkRecord } from "../standalone/state/records.ts";
import { State } from "../standalone/state/state.ts";
import { type NetworkView, viewNetwork } from "../standalone/view.ts";
import { printFound } from "./inspect.ts";
import { type Column, formatOf, printLine, printRows, usageError, withOutput } from "./output.ts";

interface ListOptions {
  readonly output?: unknown;
  readonly quiet?: boolean;
  readonly filter?: readonly string[];
}

export function registerList(network: Command): void {
  withOutput(network.command("ls").alias("list"))
    .description("list networks, those of files, too")
    .option("-q, --quiet", "names only")
    .option("-f, --filter <condition>", FILTER_HELP, collect)
    .addHelpText("after", "\nExamples:\n  tsnet network ls\n  tsnet network ls -q --filter label=tier=web")
    .action((options: ListOptions) => {
      const state = new State();
      const containers = state.containers();
      const records = state.networks().filter(filterOf(options.filter));
      if (options.quiet === true) for (const one of records) printLine(shortName(one));
      else
        printRows(formatOf(options), records, columns(containers), (all) =>
          all.map((one) => viewNetwork(one, containers)),
        );
    });
  withOutput(network.command("inspect"))
    .description("show all that is known of networks")
    .argument("<network...>", "networks, of other projects as PROJECT.NETWORK")
    .addHelpText("after", "\nExamples:\n  tsnet network inspect front\n  tsnet network inspect hello.front -o json")
    .action((names: readonly string[], options: { readonly output?: unknown }) => {
      const state = new State();
      const all = state.networks();
      const found = names.map((name): NetworkView => viewNetwork(findNetwork(all, name), state.containers()));
      printFound(formatOf(options), found);
    });
}

/** For help. */
export const FILTER_HELP = "name=PART, label=NAME[=VALUE], project=NAME or driver=bridge; may be given again";

/** What of the networks was asked for. @throws TsnetError `usage`. */
export function filterOf(conditions: readonly string[] = []): (network: NetworkRecord) => boolean {
  const tests = conditions.map((condition) => {
    const [key, value] = parseLabel(condition);
    const test = TESTS[key];
    if (test === undefined) throw usageError(`--filter ${condition}: unknown condition`, `write ${FILTER_HELP}`);
    return (network: NetworkRecord) => test(network, value);
  });
  return (network) => tests.every((test) => test(network));
}

const TESTS: Readonly<Record<string, ((network: NetworkRecord, value: string) => boolean) | undefined>> = {
  name: ({ name }, value) => name.includes(value),
  project: ({ project }, value) => project === value,
  driver: (_, value) => value === "bridge",
  label: ({ labels = {} }, value) => {
    const [name] = parseLabel(value);
    return Object.hasOwn(labels, name) && (!value.includes("=") || value === `${name}=${labels[name]}`);
  },
};

/** An option that may be given again. */
export function collect(one: string, all: readonly string[] = []): readonly string[] {
  return [...all, one];
}

function columns(containers: Parameters<typeof viewNetwork>[1]): readonly Column<NetworkRecord>[] {
  const on = (network: NetworkRecord) => Object.keys(viewNetwork(network, containers).containers).length;
  return [
    { title: "NAME", cell: shortName },
    { title: "DRIVER", cell: () => "bridge" },
    { title: "SUBNETS", cell: ({ subnets }) => subnets.join(", ") },
    { title: "BRIDGE", cell: ({ bridge }) => bridge },
    { title: "CONTAINERS", cell: (network) => String(on(network)), align: "right" },
    { title: "NOTES", cell: notesOf },
  ];
}

function notesOf({ internal, open, masquerade }: NetworkRecord): string {
  if (internal === true) return "internal";
  return [
    ...(masquerade ? [] : ["no masquerade"]),
    ...(open === undefined || open.length === 0 ? [] : [open.includes("*") ? "open" : `open to ${open.join(", ")}`]),
  ].join(", ");
}
