/**
 * `tsnet proxy`, which is also what the executable is under the name `kube-proxy`: its flags in Go's forms, handed as
 * plain data to a file of its own. What stays resident is a third of the executable and no other command needs it.
 *
 * @module
 */
import type { Command } from "commander";
import { canonicalArguments } from "../lib/daemon/argv.ts";
import { version } from "../package.json";
import { FLAGS } from "../proxy/config/names.ts";
import { addGoFlags } from "./go-flags.ts";
import { printLine } from "./output.ts";

/** Brings Go's forms of flags into those that commander reads. */
export function rewrite(argv: readonly string[]): readonly string[] {
  return canonicalArguments(argv, FLAGS);
}

export function register(program: Command): void {
  const command = program
    .command("proxy")
    .description("be the kube-proxy of this node: Services into kernel rules, by iptables or nftables")
    .addHelpText("after", DETAILS);
  const { flags } = addGoFlags(command, FLAGS, "Not in kube-proxy:");
  command.action(async () => {
    const given = flags();
    const asked = given.version?.at(-1);
    if (asked !== undefined && asked !== "false") return printLine(`tsnet ${version}`);
    const { main } = await import("../proxy/main.ts");
    process.exitCode = await main(given);
  });
}

const DETAILS = `
Called as kube-proxy the executable is this command. Flags of kube-proxy that are not listed are accepted, those for
ipvs, Windows and its own logger, and change nothing.

Examples:
  tsnet proxy --kubeconfig /var/lib/kube-proxy/kubeconfig.conf --proxy-mode nftables
  tsnet proxy --manifests ./services --hostname-override node1 --dry-run`;
