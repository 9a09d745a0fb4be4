/**
 * `down`: a project's containers and networks, gone, by what the state knows of them; no file is needed.
 *
 * It walks `up` backwards, goes on past errors and reports them all. What could not be removed stays in the state,
 * so that `down` can be run again.
 *
 * @module
 */
import { joinErrors, TsnetError } from "../lib/errors.ts";
import type { Runtime } from "../lib/runtime/runtime.ts";
import { removeMade } from "../lib/sys/rooted.ts";
import { closeRuntime, disconnect, openRuntime } from "./attach.ts";
import { stopContainer } from "./container/stop.ts";
import { unguardForwarding } from "./forwarding.ts";
import { settleHelper } from "./helper/client.ts";
import { deleteNetworks } from "./network.ts";
import { ofProject } from "./observe.ts";
import { inUse } from "./plan/network.ts";
import type { Progress } from "./progress.ts";
import type { ContainerRecord, NetworkRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";
import { sweepStrays } from "./strays.ts";
import { Turnstile } from "./turnstile.ts";

/** What `down` did. */
export interface Lowered {
  readonly containers: readonly string[];
  readonly networks: readonly string[];
  /** Switches that make the host a router and that stay on, though we turned them on: `net.ipv4.ip_forward`. */
  readonly stillForwarding: readonly string[];
}

/** @throws TsnetError `conflict` before anything is changed if another project's container is on one of the networks. */
export async function down(
  project: string,
  { state, graceSeconds, progress }: Omit<Removing, "runtime">,
): Promise<Lowered> {
  const lock = state.lock();
  try {
    const swept = await sweepStrays(state);
    state.removeUnnoted();
    const containers = ofProject(state.containers(), project);
    const networks = ofProject(state.networks(), project).filter(({ stays }) => stays !== true);
    checkUnused(networks, project, state);
    if (containers.length === 0 && networks.length === 0) {
      return { containers: [], networks: [], stillForwarding: swept ? await cleanUp(state) : [] };
    }
    const runtime = openRuntime(state.directory);
    const errors: unknown[] = [];
    await removeContainers(containers, {
      state,
      runtime,
      graceSeconds,
      ...(progress === undefined ? {} : { progress }),
    }).catch((error: unknown) => errors.push(error));
    await deleteNetworks(state, networks).catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw joinErrors("down", errors);
    const stillForwarding = await cleanUp(state);
    return {
      containers: containers.map(({ name }) => name),
      networks: networks.map(({ name }) => name),
      stillForwarding,
    };
  } finally {
    lock.release();
  }
}

/** How many containers are taken off their networks at a time: each call waits for the packet filter's lock. */
const WORKERS = 8;

export interface Removing {
  readonly state: State;
  readonly runtime: Runtime;
  /** Seconds between TERM and KILL. */
  readonly graceSeconds: number;
  readonly progress?: Progress;
}

/** Stops all of them at once, and removes each. Goes on past errors. */
export async function removeContainers(records: readonly ContainerRecord[], removing: Removing): Promise<void> {
  const lanes = Array.from({ length: WORKERS }, () => new Turnstile());
  const done = await Promise.allSettled(
    records.map((record, at) => removeContainer(record, removing, lanes[at % WORKERS])),
  );
  const errors = done.flatMap((one): readonly unknown[] => (one.status === "rejected" ? [one.reason] : []));
  if (errors.length > 0) throw joinErrors("remove containers", errors);
}

/** Stops a container and removes all of it: network, namespace, logs. The record goes last. */
export async function removeContainer(
  record: ContainerRecord,
  { state, runtime, graceSeconds, progress }: Removing,
  lane = new Turnstile(),
): Promise<void> {
  progress?.(record.name, graceSeconds === 0 ? "is ended" : `ends, within ${graceSeconds} s`);
  await stopContainer(record, state.folderOf(record.name), graceSeconds);
  progress?.(record.name, "leaves its networks");
  await lane.pass(() => disconnect(runtime, record));
  removeMade(record.mountPoints ?? []);
  state.removeContainer(record);
  progress?.(record.name, undefined);
}

function checkUnused(networks: readonly NetworkRecord[], project: string, state: State): void {
  const others = state.containers().filter((record) => record.project !== project);
  for (const network of networks) {
    const user = others.find(({ attachments }) => attachments.some((one) => one.network === network.id));
    if (user !== undefined) throw new TsnetError(inUse(network, user.id), { code: "conflict", op: "down" });
  }
}

/** What only the last container and network of the host take with them. */
export async function cleanUp(state: State): Promise<readonly string[]> {
  const stillForwarding = state.networks().length === 0 ? await unguardForwarding(state) : [];
  if (state.containers().length === 0) closeRuntime(state.directory);
  await settleHelper(state);
  return stillForwarding;
}
