/**
 * The helper's life: it listens for commands, follows the state, the kernel and the containers' processes, and ends
 * when nothing is left.
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import { type ControlRequest, serveControl } from "../../lib/sys/control.ts";
import { collectGarbage, releaseCode, residentBytes } from "../../lib/sys/memory.ts";
import type { ContainerRecord } from "../state/records.ts";
import type { State } from "../state/state.ts";
import { Exits } from "./exits.ts";
import { StateFollower } from "./follower.ts";
import { Logs } from "./logs.ts";
import { Lookout } from "./lookout.ts";
import { Mender } from "./mender.ts";
import { Owners } from "./owners.ts";
import { clearPlace, placeOf } from "./place.ts";
import { Service, type SyncReport } from "./service.ts";
import { isSpent, sweep } from "./sweep.ts";
import type { HelperPart } from "./view.ts";

/** Milliseconds between two looks at what changes without a word. */
const TICK = 100;
/** Milliseconds between two syncs where nobody told of a change: inotify may lose events. */
const CALM = 10_000;
/** Milliseconds after a sync from which on there is time to tidy up. */
const REST = 1000;

// What helpers of earlier builds do not do, and so do not say.
const ABLE = { logs: true };

export interface Serving {
  readonly state: State;
  readonly parts: ReadonlyMap<string, HelperPart>;
  /** Writes one line to the log. */
  readonly say: (message: string) => void;
  /** Called every 100 ms. */
  readonly tick: () => void;
  /** Whether somebody removed the state with our lock, so that another helper may be there. Asked every 100 ms. */
  readonly isOusted: () => boolean;
}

/**
 * Returns when nothing is left to serve, with nothing of the helper's left; or when it was ousted, with nothing held
 * any more and the files, which are another's, left alone.
 */
export async function serve({ state, parts, say, tick, isOusted }: Serving): Promise<"nothingLeft" | "ousted"> {
  const watches = openWatches(state, say);
  const living = (records: readonly ContainerRecord[]) => livingOf(records, watches);
  const service = new Service({ state, parts: new Map([...followers(watches), ...parts]), living, say });
  let ended = false;
  const ending = Promise.withResolvers<void>();
  const control = serveControl(placeOf(state).socket, async ({ method, path }: ControlRequest): Promise<unknown> => {
    if (method === "GET" && path === "/status")
      return { ...statusOf(service), ...ABLE, repairs: watches.mender.repairs };
    if (method === "POST" && path === "/sync") return { ...(await syncFollowing({ service, watches })), ...ABLE };
    if (method !== "POST" || path !== "/end") return undefined;
    // Who asks has the state locked, so that it stays so.
    ended ||= state.isEmpty();
    // The answer goes first.
    if (ended) void Bun.sleep(1).then(ending.resolve);
    return { ended };
  });
  const letGo = () => {
    control.close();
    service.close();
    watches.owners.close();
    watches.follower.close();
  };
  const leave = () => {
    letGo();
    clearPlace(state);
  };
  while (!ended) {
    if (isOusted()) {
      letGo();
      return "ousted";
    }
    try {
      await round({ state, service, watches });
      if (service.isIdle() && endsAlone(state, leave)) return "nothingLeft";
    } catch (error) {
      // What fails now, by a full /run for one, need not fail in a moment.
      say(messageOf(error));
    }
    tick();
    await Promise.race([Bun.sleep(TICK), ending.promise]);
  }
  // What was relayed last left flows, which go once nothing is relayed any more.
  await service.sync();
  leave();
  return "nothingLeft";
}

interface Watches {
  readonly exits: Exits;
  readonly logs: Logs;
  readonly owners: Owners;
  readonly lookout: Lookout;
  readonly mender: Mender;
  readonly follower: StateFollower;
  /** ms, of the last sync from here. */
  synced: number;
  /** The work that was done when the garbage of it was collected. */
  collected: number;
  /** Whether some containers may be over. */
  sweeping: boolean;
}

function openWatches(state: State, say: (message: string) => void): Watches {
  return {
    exits: new Exits(),
    logs: new Logs(state),
    owners: new Owners(),
    lookout: new Lookout(),
    mender: new Mender({ state, say }),
    follower: new StateFollower(state),
    synced: Number.NEGATIVE_INFINITY,
    collected: 0,
    sweeping: true,
  };
}

function livingOf(records: readonly ContainerRecord[], { exits, owners }: Watches): readonly ContainerRecord[] {
  const foreign = records.filter((record) => record.network === "foreign" && !owners.isGone(record));
  return [...exits.running(records.filter((record) => record.network !== "foreign")), ...foreign];
}

/** Those that follow what is served, as the parts do. */
function followers({ exits, logs, lookout }: Watches): readonly (readonly [string, HelperPart])[] {
  const living = Object.entries({ exits, lookout }).map(([name, watch]): readonly [string, HelperPart] => [
    name,
    { sync: async ({ containers }) => watch.follow(containers), close: () => watch.close() },
  ]);
  // What a command left running in the host's pid namespace may go on writing.
  const sync: HelperPart["sync"] = async ({ containers, ended }) => logs.follow([...containers, ...ended]);
  return [["logs", { sync, close: () => logs.close() }], ...living];
}

interface Round {
  readonly state: State;
  readonly service: Service;
  readonly watches: Watches;
}

/** What has happened since the last one is acted on. */
async function round(given: Round): Promise<void> {
  const { state, service, watches } = given;
  const { exits, logs, lookout, mender, follower } = watches;
  const ended = exits.poll();
  for (const { name, process, code } of ended) {
    logs.complete({ name, process });
    if (code !== undefined) state.putExit(name, { ...process, code, at: Date.now() });
  }
  if (follower.changed() || ended.length > 0 || performance.now() - watches.synced > CALM) {
    watches.sweeping = true;
    await syncFollowing(given);
  }
  await sweepOver(given);
  mender.disturb(lookout.poll());
  if (await mender.tend(() => service.look())) await service.sync();
  // What many syncs left behind would else stay for as long as nothing happens.
  if (service.work !== watches.collected && performance.now() - watches.synced > REST) {
    watches.collected = service.work;
    collectGarbage();
    releaseCode();
  }
}

/** What was connected is followed before its `network connect` ends: it may be gone, and another there, right after. */
async function syncFollowing({ service, watches }: Omit<Round, "state">): Promise<SyncReport> {
  const report = await service.sync();
  watches.synced = performance.now();
  watches.owners.follow(service.records);
  return report;
}

/** Removes what is over, with our own sockets in their namespaces closed before, which would keep those alive. */
async function sweepOver({ state, service, watches }: Round): Promise<void> {
  const { owners } = watches;
  const gone = service.records.some((record) => owners.isGone(record));
  if (!gone && !watches.sweeping) return;
  const isOver = (record: ContainerRecord) => isSpent(record) || owners.isGone(record);
  if (gone) await service.sync();
  watches.sweeping = service.records.some(isOver) && !(await sweep(state, isOver));
}

function statusOf(service: Service): object {
  return { pid: process.pid, residentBytes: residentBytes(), ...service.last };
}

/** Ends by ourselves if no `up` or `down` is at work, which may be about to make what we are to serve. */
function endsAlone(state: State, leave: () => void): boolean {
  const lock = state.tryLock();
  if (lock === undefined) return false;
  try {
    leave();
    return true;
  } finally {
    lock.release();
  }
}
