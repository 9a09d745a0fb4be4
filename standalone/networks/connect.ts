/**
 * `network connect` and `network disconnect`: a container joins a network while it runs and leaves it again, ours or
 * something that tsnet did not start. What is foreign is forgotten when it leaves its last network.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { openRuntime } from "../attach.ts";
import { isRunning } from "../container/stop.ts";
import { cleanUp } from "../down.ts";
import { isName, NAME_FORM } from "../file/names.ts";
import { ensureHelper, syncHelper } from "../helper/client.ts";
import { writeHosts } from "../naming.ts";
import { acceptForwarding } from "../network.ts";
import type { AttachmentRecord, ContainerRecord } from "../state/records.ts";
import type { State } from "../state/state.ts";
import { findNetwork } from "./find.ts";
import { type Foreign, type ForeignTarget, findForeign, foreignRecord, isIn } from "./foreign.ts";
import { type JoinWish, joinNetwork, leaveNetwork } from "./join.ts";
import { guardHost, restoreNetworks } from "./restore.ts";

/** Who is meant: a container by its name, or something foreign, whose name may be chosen. */
export interface Who {
  readonly name?: string;
  readonly foreign?: ForeignTarget;
}

export interface Connected {
  readonly container: ContainerRecord;
  readonly attachment: AttachmentRecord;
}

/**
 * @throws TsnetError `not-found` for a network, container, process or namespace that is not there; `conflict` for a
 *   container that cannot join one; as `joinNetwork`.
 */
export async function connectTo(
  { network: name, who, wish }: { readonly network: string; readonly who: Who; readonly wish: JoinWish },
  state: State,
): Promise<Connected> {
  const lock = state.lock();
  try {
    await restoreNetworks(state);
    const network = findNetwork(state.networks(), name);
    const record =
      who.foreign === undefined ? ours(who.name ?? "", state) : adopt(findForeign(who.foreign), who, state);
    await guardHost(state);
    await ensureHelper(state);
    const container = await join(record, {
      state,
      work: (runtime) => joinNetwork(record, network, wish, { state, runtime }),
    });
    writeHosts(container, state);
    // Where an accept has to stand depends on who holds rules, and the plugins may have been the first to write some.
    await acceptForwarding(network);
    await syncHelper(state);
    const attachment = container.attachments.find((one) => one.network === network.id);
    if (attachment === undefined) throw new Error(`no attachment on ${network.id}`);
    return { container, attachment };
  } finally {
    lock.release();
  }
}

/** @throws TsnetError `not-found`; as `leaveNetwork`. */
export async function disconnectFrom(
  { network: name, who }: { readonly network: string; readonly who: Who },
  state: State,
): Promise<ContainerRecord> {
  const lock = state.lock();
  try {
    const network = findNetwork(state.networks(), name);
    const record = who.foreign === undefined ? state.container(who.name ?? "") : known(who.foreign, state);
    const runtime = openRuntime(state.directory);
    const left = await leaveNetwork(record, network, { state, runtime });
    writeHosts(left, state);
    if (left.network === "foreign" && left.attachments.length === 0) state.removeContainer(left);
    await cleanUp(state);
    return left;
  } finally {
    lock.release();
  }
}

/** A container of ours that may join. */
function ours(name: string, state: State): ContainerRecord {
  const record = state.container(name);
  const refuse = (why: string) => new TsnetError(`container ${name} ${why}`, { code: "conflict", op: "connect" });
  if (record.network === "foreign") return record;
  if (record.joins !== undefined) throw refuse(`is in the network namespace of ${record.joins}: connect that one`);
  if (record.network !== "bridge") {
    throw refuse(`has network: ${record.network}, which joins no network: start it anew on one`);
  }
  if (!isRunning(record)) throw refuse("does not run: start it first");
  return record;
}

/** The record of something foreign: the one that it has, or a new one. */
function adopt(foreign: Foreign, { name = foreign.name }: Who, state: State): ContainerRecord {
  const all = state.containers();
  const there = all.find((record) => isIn(record, foreign.inode));
  const refuse = (why: string) => new TsnetError(why, { code: "conflict", op: "connect" });
  if (there !== undefined && there.network !== "foreign") {
    throw refuse(
      `that is container ${there.joins ?? there.name}: tsnet network connect NETWORK ${there.joins ?? there.name}`,
    );
  }
  if (there !== undefined) return there;
  if (!isName(name))
    throw new TsnetError(`"${name}" cannot be a name, allowed is ${NAME_FORM}`, { code: "usage", op: "connect" });
  if (all.some((record) => record.name === name))
    throw refuse(`container ${name} is there already: give this one another name`);
  return foreignRecord({ ...foreign, name });
}

/** Something foreign that was connected; it may be gone by now. */
function known(target: ForeignTarget, state: State): ContainerRecord {
  const all = state.containers().filter(({ network }) => network === "foreign");
  const found =
    "pid" in target
      ? all.find(({ process }) => process?.pid === target.pid)
      : all.find(({ netns }) => netns === target.netns || netns.endsWith(`/${target.netns}`));
  if (found !== undefined) return found;
  const what = "pid" in target ? `process ${target.pid}` : target.netns;
  const there = all.length === 0 ? "nothing foreign is" : `there are ${all.map(({ name }) => name).join(", ")}`;
  throw new TsnetError(`${what} is connected to no network: ${there}`, { code: "not-found", op: "disconnect" });
}

/** Does the work; what is foreign is forgotten again if it fails and is on no network. */
async function join(
  record: ContainerRecord,
  {
    state,
    work,
  }: { readonly state: State; readonly work: (runtime: ReturnType<typeof openRuntime>) => Promise<ContainerRecord> },
): Promise<ContainerRecord> {
  try {
    return await work(openRuntime(state.directory));
  } catch (error) {
    if (record.network === "foreign" && record.attachments.length === 0) state.removeContainer(record);
    throw error;
  }
}
