/**
 * A network of the file beside its containers: forwarding to and from it is accepted, the walls around it are built,
 * and what it leaves is removed.
 * Its bridge is made by the first container's plugin.
 *
 * @module
 */
import { joinErrors } from "../lib/errors.ts";
import { chooseFirewall } from "../lib/firewall/firewall.ts";
import type { Attachment, Backend, Firewall } from "../lib/firewall/types.ts";
import { parseCidr } from "../lib/net/cidr.ts";
import { linkDel, linkGet } from "../lib/netlink/link.ts";
import { RtSocket } from "../lib/netlink/socket.ts";
import { LOCK_DIR } from "../lib/runtime/lock.ts";
import { removeTree } from "../lib/sys/trees.ts";
import { isolate } from "./isolation/isolation.ts";
import { EVERYBODY } from "./isolation/walls.ts";
import { IPAM_DIR } from "./plan/list.ts";
import type { NetworkRecord } from "./state/records.ts";
import type { State } from "./state/state.ts";

/**
 * Has the packets of new networks forwarded where rules of the host's would drop them, and keeps others out: before
 * the first container is on them.
 *
 * @throws TsnetError `conflict` if a chain of somebody else's drops them and cannot be overruled; `not-found` if no
 *   packet filter works here. Nothing of that network has been changed then.
 */
export async function addNetworks(state: State, networks: readonly NetworkRecord[]): Promise<void> {
  if (networks.length === 0) return;
  for (const network of networks) {
    state.putNetwork(network);
    try {
      await acceptForwarding(network);
    } catch (error) {
      state.removeNetwork(network);
      throw error;
    }
  }
  try {
    await isolate(state.networks());
  } catch (error) {
    // What made this fail may make that fail, and is what has to be told.
    await deleteNetworks(state, networks).catch(() => undefined);
    throw error;
  }
}

/** Puts the accepting rules (back) in their place. */
export async function acceptForwarding(network: NetworkRecord): Promise<void> {
  const firewall = await firewallOf(network);
  await firewall.ensureUsable();
  await firewall.attach(ownerOf(network), { accept: wishOf(network) });
}

/** Whether the accepting rules are still there. @throws TsnetError `check-failed`. */
export async function checkForwarding(network: NetworkRecord): Promise<void> {
  const firewall = await firewallOf(network);
  await firewall.check(ownerOf(network), { accept: wishOf(network) });
}

/** Removes all of networks that no container is on any more. Goes on past errors; of what fails the record stays. */
export async function deleteNetworks(state: State, networks: readonly NetworkRecord[]): Promise<void> {
  if (networks.length === 0) return;
  const errors: unknown[] = [];
  const works = async (step: () => Promise<void>): Promise<boolean> => {
    try {
      await step();
      return true;
    } catch (error) {
      errors.push(error);
      return false;
    }
  };
  const clean = new Set<NetworkRecord>();
  for (const network of networks) {
    const isForgotten = await works(async () => (await firewallOf(network)).detach(ownerOf(network), ["accept"]));
    if ((await works(async () => removeBridge(network))) && isForgotten) clean.add(network);
  }
  // Their walls last: until now somebody may have come by.
  const gone = new Set(networks.map(({ id }) => id));
  const areDown = await works(() => isolate(state.networks().filter(({ id }) => !gone.has(id))));
  for (const network of networks) {
    removeTree(`${IPAM_DIR}/${network.id}`);
    removeTree(`${LOCK_DIR}/${network.id}`);
    if (areDown && clean.has(network)) state.removeNetwork(network);
  }
  if (errors.length > 0) throw joinErrors(`remove networks ${[...gone].join(", ")}`, errors);
}

function removeBridge({ bridge, ownsBridge }: NetworkRecord): void {
  if (!ownsBridge) return;
  using socket = RtSocket.open();
  // A link of that name that is no bridge has come since.
  if (linkGet(socket, bridge)?.kind === "bridge") linkDel(socket, bridge);
}

function firewallOf({ options }: NetworkRecord): Promise<Firewall> {
  const { backend } = options;
  return chooseFirewall(backend === "iptables" || backend === "nftables" ? (backend satisfies Backend) : undefined);
}

/** The network as a whole owns these rules, in the name of its project. */
function ownerOf({ id, project, bridge }: NetworkRecord): Attachment {
  return { network: id, containerId: project, ifname: bridge };
}

function wishOf({ bridge, subnets, open }: NetworkRecord) {
  return { link: bridge, addresses: subnets.map(parseCidr), inbound: open?.includes(EVERYBODY) === true };
}
