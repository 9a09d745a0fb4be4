/**
 * Benches: ours and the tools that people use today, side by side on this machine.
 *
 *     npm run bench -- cni [--rounds N] [--only TEXT] [--json]
 *     npm run bench -- chain [--rounds N] [--only TEXT] [--json]
 *     npm run bench -- proxy [--quick] [--json]
 *     npm run bench -- overlay [--rounds N] [--json]
 *     npm run bench -- up [--rounds N] [--sizes N,N] [--only TEXT] [--json]
 *
 * Everything runs in network, mount and pid namespaces of its own. For the plugins this file fetches what the bench
 * compares with and starts itself again inside of them; the others run on test hosts. It ends with 1 if a target is missed or a row does not count.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { messageOf } from "../lib/errors.ts";
import { referencePrograms } from "../test/cluster/build.ts";
import type { CniBench } from "./cni.ts";
import { formatTable, passes, type Row } from "./table.ts";

interface BenchOptions {
  readonly rounds: number;
  readonly only: string;
  readonly ours: string;
  readonly json: boolean;
}

interface OverlayOptions {
  readonly rounds: number;
  readonly sizes: readonly number[];
  readonly ours: string;
  readonly json: boolean;
}

interface UpOptions {
  readonly rounds: number;
  readonly sizes: readonly number[];
  readonly only: string;
  readonly ours: string;
  readonly json: boolean;
}

interface ProxyOptions {
  readonly sizes: readonly number[];
  readonly alone: readonly number[];
  readonly modes: readonly ("nftables" | "iptables")[];
  readonly changes: number;
  readonly quick: boolean;
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
program
  .command("chain")
  .description("a chain of five plugins: ours one by one and in one exec, and the reference's")
  .option("--rounds <n>", "measured calls of a kind for each side", count, 10)
  .option("--only <text>", "only what has this in its name", "")
  .option("--ours <directory>", "our plugins", resolve(import.meta.dirname, "../dist/cni"))
  .option("--json", "print the rows as JSON", false)
  .action(chain);
program
  .command("proxy")
  .description("our kube-proxy and the real one, at one API server")
  .option("--sizes <n,n>", "numbers of services at which both run", counts, [100, 1000, 10_000])
  .option("--alone <n,n>", "numbers at which ours runs alone", counts, [50_000])
  .option("--modes <mode,mode>", "nftables, iptables", modes, ["nftables", "iptables"] as const)
  .option("--changes <n>", "measured changes of a kind, at most", count, 100)
  .option("--quick", "stop at 1,000 services", false)
  .option("--ours <file>", "our executable", resolve(import.meta.dirname, "../dist/kube-proxy"))
  .option("--json", "print the rows as JSON", false)
  .action(proxy);
program
  .command("overlay")
  .description("our overlay, one made by hand with ip, and flannel's figures")
  .option("--rounds <n>", "measured rounds of a kind for each side", count, 10)
  .option("--sizes <n,n>", "numbers of peers at which a change is measured", counts, [10, 100, 1000])
  .option("--ours <file>", "our executable", resolve(import.meta.dirname, "../dist/tsnet"))
  .option("--json", "print the rows as JSON", false)
  .action(overlay);
program
  .command("up")
  .description("standalone containers, podman, and the parts that it is made of")
  .option("--rounds <n>", "measured rounds of a kind for each side; fewer of many containers", count, 10)
  .option("--sizes <n,n>", "numbers of containers", counts, [1, 10, 100])
  .option("--only <text>", "only what has this in its name: containers, network, names", "")
  .option("--ours <file>", "our executable, with cni beside it", resolve(import.meta.dirname, "../dist/tsnet"))
  .option("--json", "print the rows as JSON", false)
  .action(up);

try {
  await program.parseAsync();
} catch (error) {
  console.error(`bench: ${messageOf(error)}`);
  process.exit(1);
}

async function cni(options: BenchOptions): Promise<void> {
  await inside(options, async (bench) => (await import("./cni.ts")).benchCni(bench));
}

async function chain(options: BenchOptions): Promise<void> {
  await inside(options, async (bench) => (await import("./chain.ts")).benchChain(bench));
}

async function inside(options: BenchOptions, measure: (bench: CniBench) => Promise<readonly Row[]>): Promise<void> {
  const { [PEERS]: peers, [DISK]: disk } = process.env;
  if (peers === undefined || disk === undefined) return await again();
  endWithParent();
  const rows = await measure({ ...options, peers, disk });
  console.log(options.json ? JSON.stringify(rows, null, 2) : formatTable(rows));
  // Servers of the bench are still open: it would not end by itself.
  process.exit(rows.every(passes) ? 0 : 1);
}

async function proxy({ sizes, alone, quick, json, ...options }: ProxyOptions): Promise<void> {
  const few = (numbers: readonly number[]) => numbers.filter((number) => !quick || number <= 1000);
  const { benchProxy } = await import("./proxy/proxy.ts");
  const rows = await benchProxy({ ...options, sizes: few(sizes), alone: few(alone) });
  console.log(json ? JSON.stringify(rows, null, 2) : formatTable(rows));
  process.exit(rows.every(passes) ? 0 : 1);
}

async function overlay({ rounds, sizes, ours, json }: OverlayOptions): Promise<void> {
  // The tests' hosts, which the bench shares, take it from there.
  process.env.TSNET_UNDER_TEST = ours;
  const { benchOverlay } = await import("./overlay/overlay.ts");
  const rows = await benchOverlay({ rounds, sizes });
  console.log(json ? JSON.stringify(rows, null, 2) : formatTable(rows));
  process.exit(rows.every(passes) ? 0 : 1);
}

async function up({ json, ...options }: UpOptions): Promise<void> {
  const { benchUp } = await import("./up/up.ts");
  const rows = await benchUp(options);
  console.log(json ? JSON.stringify(rows, null, 2) : formatTable(rows));
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

function counts(text: string): readonly number[] {
  return text.split(",").filter(Boolean).map(count);
}

function modes(text: string): readonly ("nftables" | "iptables")[] {
  return text.split(",").map((mode) => {
    if (mode === "nftables" || mode === "iptables") return mode;
    throw new InvalidArgumentError("nftables and iptables are what there is");
  });
}
