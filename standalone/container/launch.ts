/**
 * A chain of programs on its way to a container's command: started with its log, waiting at its gate, let through.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { readLog } from "../../lib/sys/cappedlog.ts";
import { joinCgroup } from "../../lib/sys/cgroup.ts";
import { ownExecutable } from "../../lib/sys/executable.ts";
import { removeFile } from "../../lib/sys/files.ts";
import { closeFd, openPipe } from "../../lib/sys/native.ts";
import { childrenOf, commandLineOf, identify, type ProcessIdentity } from "../../lib/sys/process.ts";
import { type Detached, openGate, startDetached } from "../../lib/sys/spawn.ts";
import type { ContainerRecord } from "../state/records.ts";
import { environmentOf, type Programs, startChain } from "./chain.ts";
import { userOf } from "./prepare.ts";
import { ask } from "./tool.ts";

/** The name by which the executable is the log's pump. */
const LOG_PUMP = "tsnet-log";

/** Milliseconds that the programs of the chain may take all together. */
const START_TIMEOUT = 10_000;

/** A chain on its way to the command. */
export interface Launched {
  readonly record: ContainerRecord;
  readonly folder: string;
  readonly programs: Programs;
  readonly chain: Detached;
  readonly pump: Detached;
}

/** The path of the pipe that a container's chain waits at. */
export function gateOf(folder: string): string {
  return `${folder}/start`;
}

/** Starts the log's pump and the chain that writes to it. */
export async function launch(record: ContainerRecord, folder: string, programs: Programs): Promise<Launched> {
  const { netns, start, cgroup } = record;
  const user = userOf(start);
  removeFile(gateOf(folder));
  await ask("make the gate", programs.mkfifo, ["-m", "600", gateOf(folder)]);
  const pipe = openPipe();
  try {
    const pump = startDetached(pumpCommand(`${folder}/log`), { env: {}, stdin: pipe.read, argv0: LOG_PUMP });
    if (cgroup !== undefined) joinCgroup(`${cgroup}/log`, pump.pid);
    const argv = startChain({ start, netns, gate: gateOf(folder), user, programs, self: process.pid });
    const chain = startDetached(argv, { env: environmentOf(start, user), output: pipe.write });
    return { record, folder, programs, chain, pump };
  } finally {
    closeFd(pipe.read);
    closeFd(pipe.write);
  }
}

function pumpCommand(log: string): readonly string[] {
  const executable = ownExecutable();
  if (executable !== undefined) return [executable, log];
  throw new TsnetError("tsnet up needs the compiled executable: npm run build, then dist/tsnet", {
    code: "unsupported",
    op: "start log",
  });
}

/** The container's first process: the chain itself, or its child where it has forked into a pid namespace. */
export function waitAtGate(launched: Launched): Promise<ProcessIdentity> {
  const { record, chain, programs } = launched;
  const forks = !record.start.shares.includes("pid");
  return until(launched, () => {
    const pid = forks ? childrenOf(chain.pid)[0] : chain.pid;
    return pid !== undefined && commandLineOf(pid)[0] === programs.flock ? identify(pid) : undefined;
  });
}

/** Opens the gate and waits until the chain has become the command, which may have ended before we look. */
export async function passGate(launched: Launched, first: ProcessIdentity): Promise<void> {
  const { record, folder, programs } = launched;
  await until(launched, () => openGate(gateOf(folder)) || undefined);
  removeFile(gateOf(folder));
  const links = new Set([programs.flock, programs.prlimit, programs.setpriv, programs.unshare]);
  // A command that is itself one of these programs is told from the chain by being what was asked for.
  const isChain = (argv: readonly string[]) =>
    links.has(argv[0] ?? "") && argv.join("\0") !== record.start.command.join("\0");
  await until(launched, (ended) => {
    if (ended !== undefined) return saidByChain(logOf(launched)) ? undefined : true;
    const argv = commandLineOf(first.pid);
    return argv.length > 0 && !isChain(argv) ? true : undefined;
  });
}

/** Looks until `look` finds something; it is told the chain's exit code once that has ended, and asked once more. */
async function until<T>(launched: Launched, look: (ended?: number) => T | undefined): Promise<T> {
  const { chain, pump } = launched;
  let ended: number | undefined;
  void Promise.all([chain.exited, Promise.race([pump.exited, Bun.sleep(1000)])]).then(([code]) => {
    ended = code;
  });
  const deadline = performance.now() + START_TIMEOUT;
  for (;;) {
    const last = ended;
    const found = look(last);
    if (found !== undefined) return found;
    if (last !== undefined) throw failed(launched, `exit code ${last}`);
    if (performance.now() > deadline) throw failed(launched, `no answer within ${START_TIMEOUT} ms`);
    await Bun.sleep(1);
  }
}

function failed(launched: Launched, how: string): TsnetError {
  const { name, start } = launched.record;
  const said = logOf(launched).trim().split("\n").slice(-3).join("; ");
  const message = `container ${name}: cannot start ${start.command[0]}: ${said === "" ? how : said}`;
  return new TsnetError(message, { code: "program", op: "start container" });
}

function logOf({ folder }: Launched): string {
  return readLog(`${folder}/log`).toString();
}

/** Whether one of the chain's programs complained, which they do only if they fail. */
function saidByChain(log: string): boolean {
  return /^(unshare|nsenter|flock|prlimit|setpriv): /m.test(log);
}
