/**
 * `tsnet network rm` and `prune`: networks, gone for good.
 *
 * @module
 */
import type { Command } from "commander";
import { shortName } from "../standalone/networks/find.ts";
import { pruneNetworks, removeNetworks, unusedNetworks } from "../standalone/networks/remove.ts";
import type { NetworkRecord } from "../standalone/state/records.ts";
import { State } from "../standalone/state/state.ts";
import { collect, FILTER_HELP, filterOf } from "./network-list.ts";
import { formatOf, printJson, printLine, usageError, withOutput } from "./output.ts";
import { requireRoot } from "./project.ts";

interface PruneOptions {
  readonly output?: unknown;
  readonly force?: boolean;
  readonly filter?: readonly string[];
}

export function registerRemove(network: Command): void {
  withOutput(network.command("rm").alias("remove"))
    .description("remove networks that nobody is on")
    .argument("<network...>", "the networks")
    .addHelpText("after", "\nA file's networks go with tsnet down.\n\nExample:\n  tsnet network rm front back")
    .action(async (names: readonly string[], options: { readonly output?: unknown }) => {
      requireRoot("tsnet network rm");
      report(await removeNetworks(names, new State()), options);
    });
  withOutput(network.command("prune"))
    .description("remove all networks that a command made and that nobody is on")
    .option("-f, --force", "do not ask")
    .option("--filter <condition>", FILTER_HELP, collect)
    .addHelpText("after", "\nExample:\n  tsnet network prune -f --filter label=ci")
    .action(async (options: PruneOptions) => {
      requireRoot("tsnet network prune");
      const state = new State();
      const filter = filterOf(options.filter);
      const names = unusedNetworks(state).filter(filter).map(shortName);
      if (names.length > 0 && options.force !== true) ask(names);
      // What nobody was asked about stays.
      report(await pruneNetworks(state, (one) => filter(one) && names.includes(shortName(one))), options);
    });
}

function ask(names: readonly string[]): void {
  const question = `Remove ${names.join(", ")} for good?`;
  if (process.stdin.isTTY !== true) throw usageError("nothing is removed", `say yes to ${names.join(", ")} by -f`);
  if (!confirm(question)) throw usageError("nothing is removed", "answer y, or say it by -f");
}

function report(networks: readonly NetworkRecord[], options: { readonly output?: unknown }): void {
  const names = networks.map(shortName);
  if (formatOf(options) === "json") printJson({ removed: names });
  else for (const name of names) printLine(name);
}
