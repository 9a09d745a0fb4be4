/**
 * Connections that were let in before a wall was built: as answers they would go on for ever.
 *
 * @module
 */
import { realConntrack } from "../../lib/conntrack/conntrack.ts";
import { messageOf } from "../../lib/errors.ts";
import { warn } from "../../lib/log.ts";
import type { Address } from "../../lib/net/address.ts";
import { contains, parseCidr } from "../../lib/net/cidr.ts";
import type { NetworkRecord } from "../state/records.ts";
import { isWalled } from "./walls.ts";

/** Ends the connections between `networks`, all of the host's, that the walls of today would not let in. */
export async function endForbiddenFlows(networks: readonly NetworkRecord[]): Promise<void> {
  const parsed = networks.map((network) => ({ network, subnets: network.subnets.map(parseCidr) }));
  const networkOf = (address: Address) =>
    parsed.find(({ subnets }) => subnets.some((subnet) => contains(subnet, address)))?.network;
  try {
    const conntrack = realConntrack();
    for (const family of [4, 6] as const) {
      await conntrack.deleteFlowsIf({ family }, ({ orig }) => {
        const [from, to] = [networkOf(orig.src), networkOf(orig.dst)];
        return to !== undefined && isWalled({ from, to });
      });
    }
  } catch (error) {
    warn(`connections that are not allowed any more may go on: ${messageOf(error)}`);
  }
}
