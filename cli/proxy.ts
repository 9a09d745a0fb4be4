/**
 * `tsnet proxy`, which is also what the executable is under the name `kube-proxy`: its flags in Go's forms, handed as
 * plain data to a file of its own. What stays resident is a third of the executable and no other command needs it.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { version } from "../package.json";
import { canonicalArguments } from "../proxy/config/argv.ts";
import { FLAGS, type Flag } from "../proxy/config/names.ts";
import { printLine } from "./output.ts";

/** Brings Go's forms of flags into those that commander reads. */
export const rewrite = canonicalArguments;

export function register(program: Command): void {
  const given = new Map<string, string[]>();
  const command = program
    .command("proxy")
    .description("be the kube-proxy of this node: Services into kernel rules, by iptables or nftables")
    .addHelpText("after", DETAILS);
  for (const [name, flag] of Object.entries(FLAGS)) command.addOption(optionOf(name, flag, given));
  command.action(async () => {
    const asked = given.get("version")?.at(-1);
    if (asked !== undefined && asked !== "false") return printLine(`tsnet ${version}`);
    const { main } = await import("../proxy/main.ts");
    process.exitCode = await main(Object.fromEntries(given));
  });
}

const DETAILS = `
Called as kube-proxy the executable is this command. Flags of kube-proxy that are not listed are accepted, those for
ipvs, Windows and its own logger, and change nothing.

Examples:
  tsnet proxy --kubeconfig /var/lib/kube-proxy/kubeconfig.conf --proxy-mode nftables
  tsnet proxy --manifests ./services --hostname-override node1 --dry-run`;

/** Each text that is given is collected: what it means is for the proxy to say, and for a file to replace. */
function optionOf(name: string, flag: Flag, given: Map<string, string[]>): Option {
  const value = flag.kind === "bool" || flag.bare !== undefined ? "[value]" : `<${flag.kind}>`;
  const option = new Option(`${name === "v" ? "-v, " : ""}--${name} ${value}`, flag.help)
    .argParser((text: string) => given.set(name, [...(given.get(name) ?? []), text]))
    .helpGroup(flag.ours === true ? "Not in kube-proxy:" : "Options:");
  return flag.help === "accepted" ? option.hideHelp() : option;
}
