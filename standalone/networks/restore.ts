/**
 * Networks that a command made are there again after a boot: their rules, and with the first container their bridge.
 *
 * @module
 */
import { parseCidr } from "../../lib/net/cidr.ts";
import { guardForwarding } from "../forwarding.ts";
import { readFacts } from "../host/facts.ts";
import { isolate } from "../isolation/isolation.ts";
import { acceptForwarding, addNetworks } from "../network.ts";
import type { State } from "../state/state.ts";

/**
 * Makes what is kept and has not been made since the boot. To be called with the state locked, before anybody looks
 * for a network.
 *
 * @throws TsnetError as `addNetworks` does.
 */
export async function restoreNetworks(state: State): Promise<void> {
  const dormant = state.dormantNetworks();
  if (dormant.length === 0) return;
  await addNetworks(state, dormant);
  await guardHost(state);
}

/** Puts back what of the networks themselves somebody took away; for the rules of containers see the firewall's reload. */
export async function reloadNetworks(state: State): Promise<void> {
  if (state.networks().length === 0) return;
  const lock = state.lock();
  try {
    await restoreNetworks(state);
    const networks = state.networks();
    for (const network of networks) await acceptForwarding(network);
    await isolate(networks);
    await guardHost(state);
  } finally {
    lock.release();
  }
}

/** Keeps the host from becoming a router for everybody by the networks that there are. */
export async function guardHost(state: State): Promise<void> {
  const networks = state.networks();
  const families = networks.flatMap(({ subnets }) => subnets.map((subnet) => parseCidr(subnet).address.family));
  const { routedLinks } = readFacts(new Set(networks.map(({ bridge }) => bridge)));
  await guardForwarding(state, [...new Set(families)], routedLinks);
}
