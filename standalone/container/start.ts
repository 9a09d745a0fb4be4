/**
 * Starting a container's command: the chain of programs is started and waits at its gate, the container is made
 * ready around it, the gate is opened.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { readLog } from "../../lib/sys/cappedlog.ts";
import { cgroupPath, joinCgroup, makeCgroup } from "../../lib/sys/cgroup.ts";
import { ownExecutable, removeIfEmpty } from "../../lib/sys/executable.ts";
import { removeFile } from "../../lib/sys/files.ts";
import { closeFd, openPipe } from "../../lib/sys/native.ts";
import { childrenOf, commandLineOf, identify, namespaceOf, type ProcessIdentity } from "../../lib/sys/process.ts";
import { run } from "../../lib/sys/run.ts";
import { type Detached, findProgram, openGate, startDetached } from "../../lib/sys/spawn.ts";
import type { ContainerRecord } from "../state/records.ts";
import { environmentOf, PROGRAMS, type Programs, startChain } from "./chain.ts";
import type { Naming } from "./etc.ts";
import { checkStart, type Prepared, prepare, userOf } from "./prepare.ts";

/** The name by which the executable is the log's pump. */
export const LOG_PUMP = "tsnet-log";

/** Milliseconds that the programs of the chain may take all together. */
const START_TIMEOUT = 10_000;

/** The programs that starting takes. @throws TsnetError `not-found` naming the one that is missing. */
export function findPrograms(): Programs {
  return Object.fromEntries(PROGRAMS.map((name) => [name, findProgram(name)])) as Programs;
}

export interface Starting {
  readonly record: ContainerRecord;
  /** The container's folder. */
  readonly folder: string;
  readonly naming: Naming;
  /** Called as soon as something of the container can be known by it, so that it can be found after a kill. */
  readonly note: (record: ContainerRecord) => void;
}

/** Starts the command and returns the record with its process. @throws TsnetError saying what the programs said. */
export async function startContainer({ record, folder, naming, note }: Starting): Promise<ContainerRecord> {
  checkStart(record.name, record.start);
  const programs = findPrograms();
  const prepared = record.start.shares.includes("mount") ? undefined : prepare(record, folder, naming);
  const cgroup = makeGroup(record);
  let known: ContainerRecord = {
    ...record,
    ...(cgroup === undefined ? {} : { cgroup }),
    mountPoints: prepared?.mountPoints ?? [],
  };
  note(known);
  await makeGate(programs, folder);
  const launched = launch(known, folder, programs);
  const first = await waitAtGate(launched);
  for (const pid of new Set([launched.chain.pid, first.pid]))
    if (cgroup !== undefined) joinCgroup(`${cgroup}/run`, pid);
  known = { ...known, process: first };
  note(known);
  await nameHost(known, first.pid, programs);
  if (prepared !== undefined) await mountRoot(known, first.pid, { programs, prepared, folder });
  await passGate(launched, first);
  return { ...known, phase: "running", startedAt: Date.now() };
}

/** The control group of a container: named after the host's network namespace, since a machine may hold several hosts. */
function makeGroup({ id }: ContainerRecord): string | undefined {
  const path = cgroupPath(`tsnet/${id}.${namespaceOf("self", "net")}`);
  const made = path !== undefined && makeCgroup(`${path}/run`) && makeCgroup(`${path}/log`);
  return made ? path : undefined;
}

/** The path of the pipe that a container's chain waits at. */
export function gateOf(folder: string): string {
  return `${folder}/start`;
}

async function makeGate(programs: Programs, folder: string): Promise<void> {
  removeFile(gateOf(folder));
  await expect("make the gate", programs.mkfifo, ["-m", "600", gateOf(folder)]);
}

/** A chain on its way to the command. */
interface Launched {
  readonly record: ContainerRecord;
  readonly folder: string;
  readonly programs: Programs;
  readonly chain: Detached;
  readonly pump: Detached;
}

/** Starts the log's pump and the chain that writes to it. */
function launch(record: ContainerRecord, folder: string, programs: Programs): Launched {
  const { netns, start, cgroup } = record;
  const user = userOf(start);
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
function waitAtGate(launched: Launched): Promise<ProcessIdentity> {
  const { record, chain, programs } = launched;
  const forks = !record.start.shares.includes("pid");
  return until(launched, () => {
    const pid = forks ? childrenOf(chain.pid)[0] : chain.pid;
    return pid !== undefined && commandLineOf(pid)[0] === programs.flock ? identify(pid) : undefined;
  });
}

async function nameHost({ start }: ContainerRecord, pid: number, programs: Programs): Promise<void> {
  if (start.shares.includes("uts")) return;
  const args = ["--target", String(pid), "--uts", "--", programs.tee, "/proc/sys/kernel/hostname"];
  await expect("set the host name", programs.nsenter, args, start.hostname);
}

/** Puts the new root together in the container's mount namespace and makes it the only one there. */
async function mountRoot(
  record: ContainerRecord,
  pid: number,
  { programs, prepared, folder }: { readonly programs: Programs; readonly prepared: Prepared; readonly folder: string },
): Promise<void> {
  const { root, oldRoot, fstab, drop } = prepared;
  const within = ["--target", String(pid), "--mount"];
  const step = (what: string, args: readonly string[]) =>
    expect(`container ${record.name}: ${what}`, programs.nsenter, args);
  if (drop.length > 0)
    await step("leave the host's /run", [...within, "--", programs.umount, "--no-mtab", "--lazy", ...drop]);
  // In its pid, network and ipc namespaces too, for /proc, /sys and /dev/mqueue show those of whoever mounts them.
  await step("mount its root", [
    ...within,
    "--pid",
    "--net",
    "--ipc",
    "--",
    programs.mount,
    "--no-mtab",
    "--all",
    "--fstab",
    fstab,
  ]);
  await step("change its root", [...within, "--", programs.pivot_root, root, oldRoot]);
  // The folder that the first process is in went along; the programs are still found by the host's root.
  const old = oldRoot.slice(root.length + 1);
  await step("leave the old root", [
    ...within,
    "--root=/",
    `--wd=/proc/${pid}/cwd`,
    "--",
    programs.umount,
    "--no-mtab",
    "--lazy",
    "--no-canonicalize",
    old,
  ]);
  removeIfEmpty(`${folder}/run/.old`);
}

/** Opens the gate and waits until the chain has become the command, which may have ended before we look. */
async function passGate(launched: Launched, first: ProcessIdentity): Promise<void> {
  const { record, folder, programs } = launched;
  await until(launched, () => openGate(gateOf(folder)) || undefined);
  removeFile(gateOf(folder));
  const links = new Set([programs.flock, programs.setpriv, programs.unshare]);
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
  return /^(unshare|nsenter|flock|setpriv): /m.test(log);
}

async function expect(what: string, program: string, args: readonly string[], stdin?: string): Promise<void> {
  const { exitCode, stderr } = await run(program, args, { light: true, ...(stdin === undefined ? {} : { stdin }) });
  if (exitCode === 0) return;
  throw new TsnetError(`cannot ${what}: ${stderr.trim()}`, { code: "program", op: "start container" });
}
