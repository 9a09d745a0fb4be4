/**
 * What a container calls itself, by which addresses, and whom it asks for others: for its files of /etc.
 *
 * @module
 */
import { exists, overwriteFile } from "../lib/sys/files.ts";
import { hostsText, type Naming } from "./container/etc.ts";
import type { ContainerRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";

/** The names of a container that is on its networks; one in another's namespace has that one's addresses. */
export function namingOf(record: ContainerRecord, state: State): Naming {
  const owner = record.joins === undefined ? record : state.container(record.joins);
  const [first] = owner.attachments;
  const network = state.networks().find(({ id }) => id === first?.network);
  return {
    hostname: record.start.hostname,
    addresses: owner.attachments.flatMap(({ addresses }) => addresses ?? []).map((cidr) => cidr.replace(/\/\d+$/, "")),
    gateway: network?.gateways[0],
    network: owner.network,
    extraHosts: record.start.extraHosts ?? {},
    dns: owner.start.dns ?? [],
    dnsSearch: owner.start.dnsSearch,
  };
}

/**
 * Writes /etc/hosts of a container that runs, and of those in its network namespace, with the addresses that it has
 * now. What is foreign has no such file of ours.
 */
export function writeHosts(record: ContainerRecord, state: State): void {
  const guests = state.containers().filter(({ joins, project }) => joins === record.name && project === record.project);
  for (const one of [record, ...guests]) {
    const path = `${state.folderOf(one.name)}/etc/hosts`;
    if (exists(path)) overwriteFile(path, hostsText(namingOf(one, state)));
  }
}
