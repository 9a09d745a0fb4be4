/**
 * Starting a container's command: the chain of programs is started and waits at its gate, the container is made
 * ready around it, the gate is opened.
 *
 * @module
 */
import { constants } from "node:os";
import { cgroupPath, joinCgroupBeside, makeCgroup } from "../../lib/sys/cgroup.ts";
import { useUsualFiles } from "../../lib/sys/limits.ts";
import { nameHostOf } from "../../lib/sys/namespaces.ts";
import { endingOf, holdProcess } from "../../lib/sys/pidfd.ts";
import { namespaceOf, type ProcessIdentity } from "../../lib/sys/process.ts";
import { findProgram } from "../../lib/sys/spawn.ts";
import type { ContainerRecord } from "../state/records.ts";
import { PROGRAMS, type Programs } from "./chain.ts";
import type { Naming } from "./etc.ts";
import { type Launched, launch, passGate, type Streams, waitAtGate, wasKilled } from "./launch.ts";
import { mountRoot } from "./mounts.ts";
import { checkStart, prepare } from "./prepare.ts";

/** The programs that starting takes. @throws TsnetError `not-found` naming the one that is missing. */
export function findPrograms(): Programs {
  found ??= Object.fromEntries(PROGRAMS.map((name) => [name, findProgram(name)])) as Programs;
  return found;
}

// Looked for once: with each container anew it is a fortieth of what `up` takes for a hundred.
let found: Programs | undefined;

export interface Starting {
  readonly record: ContainerRecord;
  /** The container's folder. */
  readonly folder: string;
  readonly naming: Naming;
  /** Called as soon as something of the container can be known by it, so that it can be found after a kill. */
  readonly note: (record: ContainerRecord) => void;
  /** Called when all of it is there but the command, which starts when that is done: its names and ports are served. */
  readonly served: () => Promise<void>;
  /** Our own streams for the command; it writes to its log without. */
  readonly streams?: Streams;
}

/** A container whose command runs, or has run. */
export interface Started {
  readonly record: ContainerRecord;
  /** Its exit code, or 128 and the signal's number. */
  readonly exited: Promise<number>;
}

/** Starts the command; the record has its process then. @throws TsnetError saying what the programs said. */
export async function startContainer(starting: Starting): Promise<Started> {
  const { record, folder, naming, note, streams } = starting;
  checkStart(record.name, record.start);
  const programs = findPrograms();
  const prepared = record.start.shares.includes("mount") ? undefined : prepare(record, folder, naming);
  const group = groupOf(record);
  let known: ContainerRecord = { ...record, ...group, mountPoints: prepared?.mountPoints ?? [] };
  note(known);
  const cgroup = makeGroup(group.cgroup);
  if (cgroup === undefined) known = { ...record, mountPoints: known.mountPoints ?? [] };
  const launched = await launch({ record: known, folder, programs, streams });
  const first = await waitAtGate(launched);
  // The first process joins by itself, and cannot name who waits for it in another pid namespace.
  const joined = cgroup === undefined ? undefined : joinCgroupBeside(`${cgroup}/run`, launched.chain.pid);
  known = { ...known, process: first };
  note(known);
  useUsualFiles(first.pid);
  if (!known.start.shares.includes("uts")) nameHostOf(first.pid, known.start.hostname);
  if (prepared !== undefined) mountRoot(known.name, first, prepared);
  await starting.served();
  await joined;
  const exited = streams === undefined ? launched.chain.exited : exitOf(launched, first);
  await passGate(launched, first);
  return { record: { ...known, phase: "running", startedAt: Date.now() }, exited };
}

/** How the command ends: as the kernel tells, or the program that waits for it, which cannot tell of a KILL. */
async function exitOf(launched: Launched, first: ProcessIdentity): Promise<number> {
  const held = holdProcess(first);
  const code = await launched.chain.exited;
  const ending = held === undefined ? undefined : endingOf(held);
  held?.close();
  if (ending?.kind === "ended") return ending.code;
  return wasKilled(launched) ? 128 + constants.signals.SIGKILL : code;
}

/** The control group of a container: named after the host's network namespace, since a machine may hold several hosts. */
function groupOf({ id }: ContainerRecord): Pick<ContainerRecord, "cgroup"> {
  const cgroup = cgroupPath(`tsnet/${id}.${namespaceOf("self", "net")}`);
  return cgroup === undefined ? {} : { cgroup };
}

/** Makes the group, with a part for the command; undefined where we may not. */
function makeGroup(path: string | undefined): string | undefined {
  return path !== undefined && makeCgroup(`${path}/run`) ? path : undefined;
}
