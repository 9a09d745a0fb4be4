/**
 * Whether a network has the addresses that are asked for on it.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { type Address, formatAddress, parseAddress, sameAddress } from "../../lib/net/address.ts";
import { parseCidr } from "../../lib/net/cidr.ts";
import { isUsable } from "../file/network.ts";
import { shortName } from "../networks/find.ts";
import type { NetworkRecord } from "../state/records.ts";

/** @throws TsnetError `invalid` for an address of none of the network's subnets, and for its gateway. */
export function checkAddressesOf(network: NetworkRecord, addresses: readonly Address[]): void {
  const { subnets, gateways } = network;
  for (const address of addresses) {
    const text = formatAddress(address);
    const good = subnets.map(parseCidr).some((subnet) => isUsable(subnet, address));
    const why = good ? "is its gateway" : `is not one that it has (${subnets.join(", ")})`;
    if (good && !gateways.some((gateway) => sameAddress(parseAddress(gateway), address))) continue;
    throw new TsnetError(`address ${text} ${why}: choose another of network ${shortName(network)}`, {
      code: "invalid",
      op: "choose address",
    });
  }
}
