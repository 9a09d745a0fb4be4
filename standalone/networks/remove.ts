/**
 * `network rm` and `network prune`: networks that a command made, gone for good.
 *
 * @module
 */

import { joinErrors, TsnetError } from "../../lib/errors.ts";
import { diskStore } from "../../lib/ipam/disk.ts";
import { warn } from "../../lib/log.ts";
import { formatAddress } from "../../lib/net/address.ts";
import { cleanUp } from "../down.ts";
import { COMMAND_PROJECT } from "../file/project.ts";
import { deleteNetworks } from "../network.ts";
import { IPAM_DIR } from "../plan/list.ts";
import type { ContainerRecord, NetworkRecord } from "../state/records.ts";
import type { State } from "../state/state.ts";
import { removeConflist } from "./conflist.ts";
import { findNetwork, shortName } from "./find.ts";

/** Removes the networks of these names. @throws TsnetError `not-found` or `conflict` before anything is changed. */
export async function removeNetworks(names: readonly string[], state: State): Promise<readonly NetworkRecord[]> {
  const lock = state.lock();
  try {
    const all = state.networks();
    const networks = [...new Set(names.map((name) => findNetwork(all, name)))];
    const containers = state.containers();
    for (const network of networks) checkRemovable(network, containers);
    await removeAll(networks, state);
    return networks;
  } finally {
    lock.release();
  }
}

/** Removes the networks that a command made, that nobody is on and that `chosen` says; see {@link unusedNetworks}. */
export async function pruneNetworks(
  state: State,
  chosen: (network: NetworkRecord) => boolean,
): Promise<readonly NetworkRecord[]> {
  const lock = state.lock();
  try {
    const networks = unusedNetworks(state).filter(chosen);
    await removeAll(networks, state);
    return networks;
  } finally {
    lock.release();
  }
}

/** Networks that a command made and that nobody is on. */
export function unusedNetworks(state: State): readonly NetworkRecord[] {
  const containers = state.containers();
  return state
    .networks()
    .filter((network) => network.project === COMMAND_PROJECT && userOf(network, containers) === undefined);
}

/** Who is on the network, in words: a container of ours, or one of a runtime that shares it; undefined if nobody is. */
export function userOf(network: NetworkRecord, containers: readonly ContainerRecord[]): string | undefined {
  const ours = containers.find(({ attachments }) => attachments.some((one) => one.network === network.id));
  if (ours !== undefined)
    return `container ${ours.name} is on it: tsnet network disconnect ${shortName(network)} ${ours.name}`;
  const store = diskStore(network.id, IPAM_DIR);
  if (!store.isThere()) return undefined;
  const view = store.view();
  for (const reservation of view.reservations()) {
    const holder = view.holderOf(reservation);
    if (holder.kind === "nobody" || view.isFromBeforeBoot(reservation)) continue;
    const who = holder.kind === "hand" ? "somebody" : `container ${holder.containerId} of a runtime`;
    return `${who} has address ${formatAddress(reservation.address)} of it: remove that first`;
  }
  return undefined;
}

function checkRemovable(network: NetworkRecord, containers: readonly ContainerRecord[]): void {
  const refuse = (why: string) =>
    new TsnetError(`network ${shortName(network)} cannot be removed: ${why}`, {
      code: "conflict",
      op: "remove network",
    });
  // The one that commands use by default does not stay, and is no file's either.
  if (network.stays !== true && network.project !== COMMAND_PROJECT)
    throw refuse(`it is of project ${network.project}: tsnet down --project ${network.project}`);
  const user = userOf(network, containers);
  if (user !== undefined) throw refuse(user);
}

async function removeAll(networks: readonly NetworkRecord[], state: State): Promise<void> {
  const errors: unknown[] = [];
  for (const network of networks) await discardNetwork(network, state).catch((error: unknown) => errors.push(error));
  if (networks.length > 0) await cleanUp(state);
  if (errors.length > 0) throw joinErrors("remove networks", errors);
}

/** Removes all of a network that nobody is on, for good. */
export async function discardNetwork(network: NetworkRecord, state: State): Promise<void> {
  if (!removeConflist(network)) {
    warn(`${network.conflist} was edited since: it is left where it is`);
  }
  await deleteNetworks(state, [network]);
  state.forgetNetwork(network);
}
