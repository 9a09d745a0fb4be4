/**
 * A chain of programs on its way to a container's command: started with its output, waiting at its gate, let through.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { readLog } from "../../lib/sys/cappedlog.ts";
import { openForWriters } from "../../lib/sys/fifo.ts";
import { readIfThere, removeFile } from "../../lib/sys/files.ts";
import { pathToOwnRoot } from "../../lib/sys/mounts.ts";
import { makeFifo } from "../../lib/sys/namespaces.ts";
import { closeFile } from "../../lib/sys/posix.ts";
import { childrenOf, commandLineOf, identify, type ProcessIdentity } from "../../lib/sys/process.ts";
import {
  type Attached,
  type AttachedOptions,
  type Detached,
  openGate,
  startAttached,
  startDetached,
} from "../../lib/sys/spawn.ts";
import type { ContainerRecord, StartRecord } from "../state/records.ts";
import { environmentOf, isWaiting, type Programs, startChain } from "./chain.ts";
import { logOf, outputOf, untilLogged } from "./output.ts";
import { userOf } from "./prepare.ts";
import { procOfItsOwn } from "./root.ts";

/** Milliseconds that the programs of the chain may take all together. */
const START_TIMEOUT = 10_000;

/** How often one looks each millisecond before it is done at leisure. */
const EAGER_LOOKS = 5;

/** A chain on its way to the command. */
export interface Launched {
  readonly record: ContainerRecord;
  readonly folder: string;
  readonly programs: Programs;
  /** The chain's whole command line. */
  readonly argv: readonly string[];
  readonly chain: Attached | Detached;
  /** Whether what it writes is kept: not where the command has our streams. */
  readonly isLogged: boolean;
}

/** Our own standard streams for the command, in place of a log. */
export type Streams = Pick<AttachedOptions, "terminal" | "signalled" | "interrupted">;

/** The path of the pipe that a container's chain waits at. */
export function gateOf(folder: string): string {
  return `${folder}/start`;
}

/** The control group of the command and all that it starts. */
function groupOf({ cgroup }: ContainerRecord): string | undefined {
  return cgroup === undefined ? undefined : `${cgroup}/run`;
}

function complaintsOf(folder: string): string {
  return `${folder}/complaints`;
}

export interface Launching {
  readonly record: ContainerRecord;
  readonly folder: string;
  readonly programs: Programs;
  readonly streams?: Streams | undefined;
}

/** Starts the chain, which writes to the pipe that the log comes from, or to `streams`. */
export async function launch({ record, folder, programs, streams }: Launching): Promise<Launched> {
  const { netns, start } = record;
  const user = userOf(start);
  removeFile(gateOf(folder));
  makeFifo(gateOf(folder));
  const complaints = complaintsOf(folder);
  removeFile(complaints);
  const argv = startChain({
    start,
    netns,
    gate: gateOf(folder),
    proc: procOfItsOwn(folder),
    complaints,
    user,
    programs,
    hostRoot: pathToOwnRoot(),
    cgroup: groupOf(record),
    terminal: streams?.terminal,
  });
  const env = environmentOf(start, user);
  const launched = { record, folder, programs, argv, isLogged: streams === undefined };
  if (streams === undefined) return { ...launched, chain: startLogged(argv, { folder, env }) };
  // In the root folder, which the change of root takes along.
  const options = { ...streams, cwd: "/", env: streams.terminal ? { ...env, ...terminalOf(start) } : env };
  return { ...launched, chain: startAttached(argv, options) };
}

/** What kind of terminal it is, which is ours. */
function terminalOf({ environment }: StartRecord): Readonly<Record<string, string>> {
  const { TERM } = process.env;
  return TERM === undefined || environment.TERM !== undefined ? {} : { TERM };
}

function startLogged(
  argv: readonly string[],
  { folder, env }: { readonly folder: string; readonly env: Readonly<Record<string, string>> },
): Detached {
  const path = outputOf(folder);
  removeFile(path);
  makeFifo(path);
  const output = openForWriters(path);
  try {
    return startDetached(argv, { env, output });
  } finally {
    closeFile(output);
  }
}

/** The container's first process: the chain itself, or its child where it has forked into a pid namespace. */
export function waitAtGate(launched: Launched): Promise<ProcessIdentity> {
  const { record, folder, chain, programs } = launched;
  const waiting = { programs, gate: gateOf(folder), cgroup: groupOf(record) };
  const forks = !record.start.shares.includes("pid");
  return until(launched, () => {
    const pid = forks ? childrenOf(chain.pid)[0] : chain.pid;
    return pid !== undefined && isWaiting(commandLineOf(pid), waiting) ? identify(pid) : undefined;
  });
}

/** Opens the gate and waits until the chain has become the command, which may have ended before we look. */
export async function passGate(launched: Launched, first: ProcessIdentity): Promise<void> {
  const { record, folder, argv } = launched;
  await until(launched, () => openGate(gateOf(folder)) || undefined);
  removeFile(gateOf(folder));
  // Each of its programs is given what comes after it in the chain's command line.
  const whole = argv.join("\0");
  const isChain = (now: readonly string[]) =>
    now.length > record.start.command.length && whole.endsWith(`\0${now.join("\0")}`);
  await until(launched, (ended) => {
    // With our streams the chain has complained to the user, and its exit code tells.
    if (ended !== undefined) return launched.isLogged && saidByChain(saidBy(launched)) ? undefined : true;
    const now = commandLineOf(first.pid);
    return now.length > 0 && !isChain(now) ? true : undefined;
  });
}

/** Looks until `look` finds something; it is told the chain's exit code once that has ended, and asked once more. */
async function until<T>(launched: Launched, look: (ended?: number) => T | undefined): Promise<T> {
  const { chain, folder, isLogged } = launched;
  let ended: number | undefined;
  void chain.exited.then(async (code) => {
    if (isLogged) await untilLogged(folder);
    ended = code;
  });
  const deadline = performance.now() + START_TIMEOUT;
  for (let looks = 1; ; looks++) {
    const last = ended;
    const found = look(last);
    if (found !== undefined) return found;
    if (last !== undefined) throw new StartError(complaint(launched, `exit code ${last}`), last);
    if (performance.now() > deadline) throw new StartError(complaint(launched, `no answer in ${START_TIMEOUT} ms`));
    // With many on their way each takes longer, and looking is what takes the time.
    await Bun.sleep(looks < EAGER_LOOKS ? 1 : 3);
  }
}

/** The command could not be started. */
export class StartError extends TsnetError {
  /** What the chain ended with: 126 if there is no starting it, 127 if it is not there; undefined: it did not end. */
  readonly exitCode: number | undefined;

  constructor(message: string, exitCode?: number) {
    super(message, { code: "program", op: "start container" });
    this.exitCode = exitCode;
  }
}

function complaint(launched: Launched, how: string): string {
  const { name, start } = launched.record;
  const said = saidBy(launched).trim().split("\n").slice(-3).join("; ");
  return `container ${name}: cannot start ${start.command[0]}: ${said === "" ? how : said}`;
}

/** What the chain said, and what the command wrote. */
function saidBy({ folder }: Launched): string {
  return (readIfThere(complaintsOf(folder)) ?? "") + readLog(logOf(folder)).toString();
}

/** Whether the command was killed, where the kernel does not tell: the program that waits for it complains then. */
export function wasKilled({ folder }: Launched): boolean {
  return (readIfThere(complaintsOf(folder)) ?? "") !== "";
}

/** Whether one of the chain's programs complained, which they do only if they fail. */
function saidByChain(log: string): boolean {
  return /^(unshare|nsenter|setpriv): /m.test(log);
}
