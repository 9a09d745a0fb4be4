/**
 * Connections that were translated by rules which are gone, or before rules which are new: conntrack keeps them as
 * they were, and a stream of UDP never ends by itself.
 *
 * What fails here is told and no more: a host without the `conntrack` program works, but for this.
 *
 * @module
 */
import type { Conntrack, FlowFilter } from "../conntrack/conntrack.ts";
import { messageOf } from "../errors.ts";
import { warn } from "../log.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { readSysctl } from "../sys/files.ts";
import type { HeldPort } from "./record.ts";

export type OpenConntrack = () => Promise<Conntrack>;

/** Forgets UDP flows to host ports that are redirected from now on, or no longer. */
export async function forgetPorts(ports: readonly HeldPort[], open: OpenConntrack): Promise<void> {
  await forget(portFilters(ports), open);
}

/** Forgets the flows by which host ports lead to containers that they lead to no longer: who is in would stay in. */
export async function forgetUnpublished(
  gone: readonly { readonly port: HeldPort; readonly addresses: readonly string[] }[],
  open: OpenConntrack,
): Promise<void> {
  const filters = gone.flatMap(({ port: { family, protocol, port, hostIp }, addresses }) => {
    const bound = hostIp === undefined ? {} : { origDst: parseAddress(hostIp) };
    const containers = addresses.map(parseAddress).filter((address) => address.family === family);
    return containers.map((replySrc): FlowFilter => ({ family, proto: protocol, dport: port, ...bound, replySrc }));
  });
  await forget(filters, open);
}

/** Forgets all flows from and to a container's addresses, and UDP flows to its host ports. */
export async function forgetContainer(
  addresses: readonly string[],
  ports: readonly HeldPort[],
  open: OpenConntrack,
): Promise<void> {
  const filters = addresses.map(parseAddress).flatMap((address: Address): FlowFilter[] => {
    const { family } = address;
    return [
      { family, origSrc: address },
      { family, replySrc: address },
    ];
  });
  await forget([...filters, ...portFilters(ports)], open);
}

/** One filter for each port, however many host addresses it is bound to. */
function portFilters(ports: readonly HeldPort[]): readonly FlowFilter[] {
  const filters = new Map<string, FlowFilter>();
  for (const { family, protocol, port, hostIp } of ports) {
    if (protocol !== "udp") continue;
    const bound = hostIp === undefined ? {} : { origDst: parseAddress(hostIp) };
    filters.set(`${family} ${port} ${hostIp}`, { family, proto: "udp", dport: port, ...bound });
  }
  return [...filters.values()];
}

async function forget(filters: readonly FlowFilter[], open: OpenConntrack): Promise<void> {
  // Without a single flow there is nothing to look through; absent, the module was never loaded.
  if (filters.length === 0 || (readSysctl("net/netfilter/nf_conntrack_count") ?? "0") === "0") return;
  try {
    const conntrack = await open();
    await Promise.all(filters.map((filter) => conntrack.deleteFlows(filter)));
  } catch (error) {
    warn(`stale connections may go on as before: ${messageOf(error)}`);
  }
}
