/**
 * Benches: ours and the tools that people use today, side by side on this machine.
 *
 *     npm run bench -- cni [--rounds N] [--only TEXT] [--json]
 *
 * A bench runs in network, mount and pid namespaces of its own: this file fetches what the bench compares with
 * and starts itself again inside of them. It ends with 1 if a target is missed or a row does not count.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { messageOf } from "../lib/errors.ts";
import { referencePrograms } from "../test/cluster/build.ts";
import { formatTable, passes } from "./table.ts";

interface BenchOptions {
  readonly rounds: number;
  readonly only: string;
  readonly ours: string;
  readonly json: boolean;
}

// Set for the second start, the one inside the namespaces: where the peers are, and room on the machine's disk.
const PEERS = "TSNET_BENCH_PEERS";
const DISK = "TSNET_BENCH_DISK";

// An own pid namespace, so that whatever a call leaves running is seen, and dies with the bench.
const NAMESPACES = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];

const program = new Command("bench").description("Compare with the tools that people use today.");
program
  .command("cni")
  .description("our CNI plugins and the reference plugins, call by call")
  .option("--rounds <n>", "measured calls of a kind for each side", count, 20)
  .option("--only <text>", "only what has this in its name", "")
  .option("--ours <directory>", "our plugins", resolve(import.meta.dirname, "../dist/cni"))
  .option("--json", "print the rows as JSON", false)
  .action(cni);

try {
  await program.parseAsync();
} catch (error) {
  console.error(`bench: ${messageOf(error)}`);
  process.exit(1);
}

async function cni(options: BenchOptions): Promise<void> {
  const { [PEERS]: peers, [DISK]: disk } = process.env;
  if (peers === undefined || disk === undefined) return await again();
  endWithParent();
  const { benchCni } = await import("./cni.ts");
  const rows = await benchCni({ ...options, peers, disk });
  console.log(options.json ? JSON.stringify(rows, null, 2) : formatTable(rows));
  // Servers of the bench are still open: it would not end by itself.
  process.exit(rows.every(passes) ? 0 : 1);
}

async function again(): Promise<void> {
  const { directory, origin } = await referencePrograms();
  console.error(`the peer: reference plugins in ${directory}, ${origin}`);
  const self = [process.execPath, import.meta.path, ...process.argv.slice(2)];
  const disk = mkdtempSync("/var/tmp/tsnet-bench-");
  const child = Bun.spawn(["unshare", ...NAMESPACES, ...self], {
    stdio: ["pipe", "inherit", "inherit"],
    env: { ...process.env, [PEERS]: directory, [DISK]: disk },
  });
  process.on("exit", () => rmSync(disk, { recursive: true }));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
  process.exitCode = await child.exited;
}

/** Standard input is a pipe that the first start holds: it closes when that ends, however it ends. */
function endWithParent(): void {
  process.stdin.on("end", () => process.exit(1)).resume();
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("a whole number from 1 is needed");
  return value;
}
