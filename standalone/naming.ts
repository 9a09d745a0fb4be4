/**
 * What a container calls itself, by which addresses, and whom it asks for others: for its files of /etc.
 *
 * @module
 */
import type { Naming } from "./container/etc.ts";
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
