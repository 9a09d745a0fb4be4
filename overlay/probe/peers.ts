/**
 * Which peers can be asked: those behind a tunnel, whose device answers. With plain routes there is neither a device
 * nor a checksum of its own.
 *
 * @module
 */
import type { AgentView } from "../agent.ts";
import type { Fabric } from "../kernel/fabric.ts";
import { FAMILIES } from "../parts.ts";
import type { ProbedPeer } from "./prober.ts";

/** One of each family of each peer that is reached by VXLAN. */
export function probedPeers({ peers, network }: AgentView, fabric: Pick<Fabric, "way">): readonly ProbedPeer[] {
  const offload = network?.backend.type === "vxlan" && network.backend.checksumOffload;
  return peers.flatMap(({ key, host, parts }) => {
    const ways = fabric.way(key);
    return FAMILIES.flatMap((family) => {
      const part = parts[family];
      if (part === undefined || ways[family]?.kind !== "vxlan") return [];
      return [{ key: `${key} IPv${family}`, host, address: part.subnet.address, underlay: part.address, offload }];
    });
  });
}
