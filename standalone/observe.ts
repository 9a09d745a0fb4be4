/**
 * How things stand: the state on disk, compared with what the kernel says.
 *
 * @module
 */

import { messageOf } from "../lib/errors.ts";
import type { Runtime } from "../lib/runtime/runtime.ts";
import { netnsNames } from "../lib/sys/netns.ts";
import { bootId } from "../lib/sys/process.ts";
import { damageOf, isInItsNetns } from "./attach.ts";
import { isRunning } from "./container/stop.ts";
import type { Project } from "./file/project.ts";
import { readFacts } from "./host/facts.ts";
import { checkForwarding } from "./network.ts";
import type { ContainerNow, Situation } from "./plan/situation.ts";
import type { ContainerRecord, NetworkRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";

/** Reads all that a plan for `project` is made from. Changes nothing. */
export async function observe(project: Project, state: State, runtime: Runtime): Promise<Situation> {
  const networks = state.networks();
  const damaged = await damagedNetworks(networks.filter((network) => network.project === project.name));
  const containers = state.containers().map(async (record): Promise<ContainerNow> => {
    const alive = isRunning(record) && isInItsNetns(record);
    if (!alive || record.project !== project.name || record.phase !== "running") return { record, alive };
    const network = record.attachments.map((one) => damaged.get(one.network)).find((one) => one !== undefined);
    const damage = network ?? (await damageOf(runtime, record));
    return { record, alive, ...(damage === undefined ? {} : { damage }) };
  });
  return {
    networks,
    containers: await Promise.all(containers),
    facts: readFacts(bridgesOf(project, networks)),
    netnsNames: netnsNames(),
    bootId: bootId(),
  };
}

/** Networks whose accepting rules are gone, with what was said of them. */
async function damagedNetworks(networks: readonly NetworkRecord[]): Promise<ReadonlyMap<string, string>> {
  const damaged = new Map<string, string>();
  for (const network of networks) {
    try {
      await checkForwarding(network);
    } catch (error) {
      damaged.set(network.id, messageOf(error));
    }
  }
  return damaged;
}

/** Bridges whose addresses are no conflict: those that the project has, and those that its file names. */
function bridgesOf(project: Project, networks: readonly NetworkRecord[]): ReadonlySet<string> {
  const has = networks.filter((network) => network.project === project.name).map(({ bridge }) => bridge);
  const names = [...project.networks.values()].flatMap(({ bridge }) => bridge ?? []);
  return new Set([...has, ...names]);
}

/** Records of one project. */
export function ofProject<R extends ContainerRecord | NetworkRecord>(
  records: readonly R[],
  project: string,
): readonly R[] {
  return records.filter((record) => record.project === project);
}
