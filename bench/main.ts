/**
 * Benches: ours and the tools that people use today, side by side on this machine.
 *
 *     npm run bench -- cni [--rounds N] [--json]
 *
 * A bench runs in network, mount and pid namespaces of its own: this file fetches what the bench compares with
 * and starts itself again inside of them. It ends with 1 if a target is missed or a row does not count.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { Command, InvalidArgumentError } from "commander";
import { messageOf } from "../lib/errors.ts";
import { referencePrograms } from "../test/cluster/build.ts";
import { formatTable, passes, type Row } from "./table.ts";

interface BenchOptions {
  readonly rounds: number;
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
  const { benchCni } = await import("./cni.ts");
  report(await benchCni({ rounds: options.rounds, peers, disk }), options);
}

async function again(): Promise<void> {
  const { directory, origin } = await referencePrograms();
  console.error(`the peer: reference plugins in ${directory}, ${origin}`);
  const self = [process.execPath, import.meta.path, ...process.argv.slice(2)];
  const disk = await mkdtemp("/var/tmp/tsnet-bench-");
  const child = Bun.spawn(["unshare", ...NAMESPACES, ...self], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, [PEERS]: directory, [DISK]: disk },
  });
  process.exitCode = await child.exited;
  await rm(disk, { recursive: true });
}

function report(rows: readonly Row[], { json }: BenchOptions): void {
  console.log(json ? JSON.stringify(rows, null, 2) : formatTable(rows));
  process.exitCode = rows.every(passes) ? 0 : 1;
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("a whole number from 1 is needed");
  return value;
}
