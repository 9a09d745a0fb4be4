/**
 * `tsnet overlay`, flannel's place on a host: its flags in Go's forms, handed as plain data to a file of its own that
 * stays resident, and `tsnet overlay status`.
 *
 * @module
 */
import type { Command } from "commander";
import { canonicalArguments } from "../lib/daemon/argv.ts";
import { suggest } from "../lib/suggest.ts";
import { FLAGS } from "../overlay/config/names.ts";
import { version } from "../package.json";
import { addGoFlags } from "./go-flags.ts";
import { printLine, usageError, withOutput } from "./output.ts";
import type { OverlayStatusOptions } from "./overlay-status.ts";

const STATUS = "status";

/** Brings Go's forms of flags into those that commander reads, but for the subcommand's, which are none. */
export function rewrite(argv: readonly string[]): readonly string[] {
  return argv[0] === STATUS ? argv : canonicalArguments(argv, FLAGS, { oneDash: true });
}

export function register(program: Command): void {
  const overlay = program
    .command("overlay")
    .description("connect this host's containers with those of other hosts: one network, by VXLAN or plain routes")
    .usage("[options] [command]")
    .helpCommand(false)
    .allowExcessArguments()
    .addHelpText("after", DETAILS);
  const { flags } = addGoFlags(overlay, FLAGS, "Not in flannel:");
  overlay.action(async () => {
    const [word] = overlay.args;
    if (word !== undefined) throw usageError(`unknown command '${word}'`, wayOut(word));
    const given = flags();
    const asked = given.version?.at(-1);
    if (asked !== undefined && asked !== "false") return printLine(`tsnet ${version}`);
    const { main } = await import("../overlay/main.ts");
    process.exitCode = await main(given);
  });
  withOutput(overlay.command(STATUS))
    .description("show this host's part of the network, its peers, and which of them answer")
    .option("--state-dir <dir>", "the agent's --state-dir", "/run/tsnet/overlay")
    .option("--timeout <duration>", "how long to wait for answers", "1s")
    .option("--no-ping", "ask nobody")
    .addHelpText("after", STATUS_DETAILS)
    .action(async (options: OverlayStatusOptions) => {
      const { showStatus } = await import("./overlay-status.ts");
      process.exitCode = await showStatus(options);
    });
}

/** Go reads no word after a flag that is true or false, so that what looks like its value stands alone. */
function wayOut(word: string): string {
  if (word === "true" || word === "false") return `write --flag=${word}, with no space`;
  const meant = suggest(word, [STATUS]);
  return `${meant === undefined ? "" : `did you mean '${meant}'? Or `}see 'tsnet overlay --help'`;
}

const DETAILS = `
Flags of flannel may also come from the environment: FLANNELD_ETCD_ENDPOINTS is --etcd-endpoints.

Examples:
  tsnet overlay --hosts /etc/tsnet/overlay.yaml
  tsnet overlay --etcd-endpoints https://10.0.0.1:2379 --etcd-cafile ca.pem --iface eth1
  tsnet overlay --kube-subnet-mgr
  tsnet overlay --cleanup`;

const STATUS_DETAILS = `
Exits with 1 if the agent does not run or containers cannot be attached.

Examples:
  tsnet overlay status
  tsnet overlay status -o json | jq '.peers[] | select(.reachable == false).host'`;
