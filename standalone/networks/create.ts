/**
 * `network create`: a network that stays until it is removed, over reboots too. Its bridge comes with its first
 * container; its rules stand before that.
 *
 * @module
 */
import { isTsnetError, TsnetError } from "../../lib/errors.ts";
import { COMMAND_PROJECT, type NetworkSpec } from "../file/project.ts";
import { ensureHelper } from "../helper/client.ts";
import { readFacts } from "../host/facts.ts";
import { EVERYBODY } from "../isolation/walls.ts";
import { addNetworks, deleteNetworks } from "../network.ts";
import { idOf } from "../plan/names.ts";
import { newNetwork } from "../plan/network.ts";
import type { NetworkRecord } from "../state/records.ts";
import type { State } from "../state/state.ts";
import { conflistPath, removeConflist, writeConflist } from "./conflist.ts";
import { findNetwork } from "./find.ts";
import { discardNetwork } from "./remove.ts";
import { guardHost, restoreNetworks } from "./restore.ts";

/**
 * @param conflistDir where runtimes look for networks, if they shall find this one.
 * @throws TsnetError `exists` if there is one of that name; `conflict` for a subnet or bridge that somebody has.
 */
export async function createNetwork(spec: NetworkSpec, state: State, conflistDir?: string): Promise<NetworkRecord> {
  const lock = state.lock();
  try {
    await restoreNetworks(state);
    // What a `create` that was killed left is no network yet.
    const half = state.networks().find((one) => one.name === spec.name && one.stays === true && !state.isKept(one));
    if (half !== undefined) await discardNetwork(half, state);
    const planned = plan(resolved(spec, state.networks()), state);
    const network = conflistDir === undefined ? planned : { ...planned, conflist: conflistPath(planned, conflistDir) };
    await addNetworks(state, [network]);
    try {
      writeConflist(network);
      state.keepNetwork(network);
      await guardHost(state);
      await ensureHelper(state);
      return network;
    } catch (error) {
      removeConflist(network);
      await deleteNetworks(state, [network]).catch(() => undefined);
      forget(network, state);
      throw error;
    }
  } finally {
    lock.release();
  }
}

/** Where nothing can be written, nothing was: what made us give up is what is told. */
function forget(network: NetworkRecord, state: State): void {
  try {
    state.forgetNetwork(network);
  } catch (error) {
    if (!isTsnetError(error)) throw error;
  }
}

/** With the networks that it is open to by their ids. */
function resolved({ open, ...spec }: NetworkSpec, networks: readonly NetworkRecord[]): NetworkSpec {
  if (open === undefined) return spec;
  return { ...spec, open: open.map((name) => (name === EVERYBODY ? name : findNetwork(networks, name).id)) };
}

function plan(spec: NetworkSpec, state: State): NetworkRecord {
  const networks = state.networks();
  if (networks.some(({ id }) => id === idOf(COMMAND_PROJECT, spec.name))) {
    throw new TsnetError(`network ${spec.name} is there already: tsnet network rm ${spec.name} removes it`, {
      code: "exists",
      op: "create network",
    });
  }
  // Bridges of ours are told of by their networks, which say whose they are.
  const facts = readFacts(new Set(networks.map(({ bridge }) => bridge)));
  const others = networks.filter(({ project }) => project === COMMAND_PROJECT);
  const planned = newNetwork({ name: COMMAND_PROJECT }, spec, { now: { networks, facts }, planned: others });
  return { ...planned, stays: true };
}
