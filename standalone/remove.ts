/**
 * `stop` and `rm`: containers by name, of whatever project, and what only the last one needed.
 *
 * @module
 */
import { joinErrors, TsnetError } from "../lib/errors.ts";
import { disconnect, openRuntime } from "./attach.ts";
import { isRunning, stopContainer } from "./container/stop.ts";
import { cleanUp, removeContainers } from "./down.ts";
import { COMMAND_PROJECT } from "./file/project.ts";
import { deleteNetworks } from "./network.ts";
import { ofProject } from "./observe.ts";
import type { ContainerRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";

export interface Stopping {
  readonly state: State;
  /** Seconds between TERM and KILL. */
  readonly graceSeconds: number;
}

/**
 * Ends containers and takes them off their networks, so that their addresses and ports are free. What they wrote, and
 * that they were, stays until `rm`.
 *
 * @throws TsnetError before anything is changed: `not-found` if one is not there, `conflict` for one that tsnet did not start.
 */
export async function stop(names: readonly string[], { state, graceSeconds }: Stopping): Promise<void> {
  const lock = state.lock();
  try {
    const runtime = openRuntime(state.directory);
    const records = find(names, state);
    checkOurs(records);
    const work = records.map(async (record) => {
      await stopContainer(record, state.folderOf(record.name), graceSeconds);
      await disconnect(runtime, record);
      // Whoever saw it end may have noted how by now.
      state.putContainer({ ...state.container(record.name), attachments: [], ports: [] });
    });
    report("stop", await Promise.allSettled(work));
    await dropUnused(state);
  } finally {
    lock.release();
  }
}

/**
 * Removes containers with all that they left.
 *
 * @throws TsnetError before anything is changed: `not-found` if one is not there; `conflict` if one runs and is not
 *   to be ended.
 */
export async function remove(
  names: readonly string[],
  { state, graceSeconds, force }: Stopping & { readonly force: boolean },
): Promise<void> {
  const lock = state.lock();
  try {
    const records = find(names, state);
    if (!force) {
      checkOurs(records);
      checkEnded(records);
    }
    await removeContainers(records, { state, runtime: openRuntime(state.directory), graceSeconds });
    await dropUnused(state);
  } finally {
    lock.release();
  }
}

/** After a container in the foreground has ended: it is removed, or its exit code is noted. */
export async function removeEnded(
  { name, process }: ContainerRecord,
  { state, exitCode, remove: goes }: { readonly state: State; readonly exitCode: number; readonly remove: boolean },
): Promise<void> {
  const lock = state.lock();
  try {
    // Somebody may have been quicker, and have made another of that name.
    const record = state.containers().find((one) => one.name === name && one.process?.startTime === process?.startTime);
    if (record === undefined) return;
    if (!goes) return state.putContainer({ ...record, exit: { code: exitCode, at: Date.now() } });
    await removeContainers([record], { state, runtime: openRuntime(state.directory), graceSeconds: 0 });
    await dropUnused(state);
  } finally {
    lock.release();
  }
}

/** Removes the network that `run` made, once nobody is on it; and what nobody needs without any. */
export async function dropUnused(state: State): Promise<void> {
  const used = new Set(state.containers().flatMap(({ attachments }) => attachments.map(({ network }) => network)));
  const unused = ofProject(state.networks(), COMMAND_PROJECT).filter(
    ({ id, stays }) => stays !== true && !used.has(id),
  );
  await deleteNetworks(state, unused);
  await cleanUp(state);
}

/** What tsnet did not start it does not end either. */
function checkOurs(records: readonly ContainerRecord[]): void {
  const foreign = records.find(({ network }) => network === "foreign");
  if (foreign === undefined) return;
  const [first] = foreign.attachments;
  throw new TsnetError(
    `${foreign.name} was connected and not started by tsnet: tsnet network disconnect ${first?.network ?? "NETWORK"} ${foreign.name} lets it go`,
    { code: "conflict", op: "find container" },
  );
}

function checkEnded(records: readonly ContainerRecord[]): void {
  const running = records.filter(isRunning).map(({ name }) => name);
  if (running.length === 0) return;
  const which = running.length === 1 ? "container" : "containers";
  const verb = running.length === 1 ? "runs" : "run";
  throw new TsnetError(
    `${which} ${running.join(", ")} still ${verb}: tsnet stop ${running.join(" ")} first, or tsnet rm -f`,
    { code: "conflict", op: "rm" },
  );
}

function find(names: readonly string[], state: State): readonly ContainerRecord[] {
  return [...new Set(names)].map((name) => state.container(name));
}

function report(op: string, done: readonly PromiseSettledResult<unknown>[]): void {
  const errors = done.flatMap((one): readonly unknown[] => (one.status === "rejected" ? [one.reason] : []));
  if (errors.length > 0) throw joinErrors(op, errors);
}
