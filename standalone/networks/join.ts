/**
 * A container that runs joins a network, or leaves one.
 *
 * Its default route and its published ports belong to one of its networks. When it leaves that one, the next takes
 * them over, as with Docker: that interface is made anew, with the address that it had.
 *
 * @module
 */

import { TsnetError } from "../../lib/errors.ts";
import { formatAddress } from "../../lib/net/address.ts";
import { linkList, linkSet } from "../../lib/netlink/link.ts";
import { routeList } from "../../lib/netlink/route.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import { openNetns } from "../../lib/sys/netns.ts";
import { attach, detach } from "../attach.ts";
import type { Join } from "../file/project.ts";
import { checkAddressesOf } from "../plan/addresses.ts";
import { portMappings } from "../plan/container.ts";
import { listText } from "../plan/list.ts";
import type { AttachmentRecord, ContainerRecord, NetworkRecord } from "../state/records.ts";
import type { State } from "../state/state.ts";
import { shortName } from "./find.ts";

/** What a container wants on a network that it joins. */
export type JoinWish = Omit<Join, "network">;

export interface Joining {
  readonly state: State;
  readonly runtime: Runtime;
}

/**
 * Puts a running container on one more network; the record comes back, and is in the state, with the addresses.
 *
 * @throws TsnetError `exists` if it is on the network; `invalid` for an address that is not the network's; `plugin`.
 */
export async function joinNetwork(
  given: ContainerRecord,
  network: NetworkRecord,
  wish: JoinWish,
  { state, runtime }: Joining,
): Promise<ContainerRecord> {
  const record = await withoutHalfMade(given, network, runtime);
  if (record.attachments.some((one) => one.network === network.id)) {
    throw new TsnetError(`container ${record.name} is on network ${shortName(network)} already`, {
      code: "exists",
      op: "connect",
    });
  }
  checkAddressesOf(network, wish.addresses);
  const planned = planAttachment(record, network, wish);
  if (record.network === "foreign") openLoopback(record);
  // Noted first: what a kill leaves of it is found again.
  state.putContainer({ ...record, attachments: [...record.attachments, planned] });
  try {
    const joined = { ...record, attachments: [...record.attachments, await attach(runtime, record, planned)] };
    state.putContainer(joined);
    return joined;
  } catch (error) {
    await detach(runtime, record, planned);
    state.putContainer(record);
    throw error;
  }
}

/** Less what a `connect` that was killed left of joining that network. */
async function withoutHalfMade(
  record: ContainerRecord,
  network: NetworkRecord,
  runtime: Runtime,
): Promise<ContainerRecord> {
  const half = record.attachments.find((one) => one.network === network.id && one.addresses === undefined);
  if (half === undefined) return record;
  await detach(runtime, record, half);
  return { ...record, attachments: record.attachments.filter((one) => one !== half) };
}

/**
 * Takes a container off a network; the record comes back, and is in the state, without it, unless it is of something
 * foreign that is on no other: that is for the caller to forget.
 *
 * @throws TsnetError `not-found` if it is not on the network; `plugin`.
 */
export async function leaveNetwork(
  record: ContainerRecord,
  network: NetworkRecord,
  { state, runtime }: Joining,
): Promise<ContainerRecord> {
  const leaving = record.attachments.find((one) => one.network === network.id);
  if (leaving === undefined) {
    throw new TsnetError(`container ${record.name} is not on network ${shortName(network)}: ${listed(record)}`, {
      code: "not-found",
      op: "disconnect",
    });
  }
  await detach(runtime, record, leaving);
  // Of no fingerprint: an `up` sees that it is not as its file says.
  const attachments = record.attachments.filter((one) => one !== leaving);
  const left: ContainerRecord = { ...record, attachments, fingerprint: "" };
  // What is foreign is forgotten by the caller: killed before that, it is on the network still, and is let go again.
  if (left.network === "foreign" && attachments.length === 0) return left;
  state.putContainer(left);
  const heir = heirOf(leaving, left, state);
  if (heir === undefined) return left;
  const promoted = await promote(left, heir, runtime);
  const again = { ...left, attachments: left.attachments.map((one) => (one === heir.attachment ? promoted : one)) };
  state.putContainer(again);
  return again;
}

interface Heir {
  readonly attachment: AttachmentRecord;
  readonly network: NetworkRecord;
}

/** Who takes over what an interface had that has gone: the first on a network with a way out. */
function heirOf(gone: AttachmentRecord, left: ContainerRecord, state: State): Heir | undefined {
  const hadPorts = "portMappings" in gone.capabilityArgs;
  if (left.attachments.length === 0 || (!hadPorts && hasWayOut(left))) return undefined;
  const networks = state.networks();
  return left.attachments
    .flatMap((attachment) => {
      const network = networks.find(({ id }) => id === attachment.network);
      return network === undefined || network.internal === true ? [] : [{ attachment, network }];
    })
    .at(0);
}

/** True also of a namespace that is gone. */
function hasWayOut(record: ContainerRecord): boolean {
  try {
    return lookInto(record).hasDefaultRoute;
  } catch {
    return true;
  }
}

/** Makes an interface anew as the container's first: with the default route and the published ports. */
async function promote(
  record: ContainerRecord,
  { attachment, network }: Heir,
  runtime: Runtime,
): Promise<AttachmentRecord> {
  const ips = (attachment.addresses ?? []).map((address) => address.replace(/\/\d+$/, ""));
  const wanted: AttachmentRecord = {
    ...attachment,
    list: listText(network, true, true),
    capabilityArgs: { ...attachment.capabilityArgs, ips, ...publishing(record) },
  };
  await detach(runtime, record, attachment);
  return attach(runtime, record, wanted);
}

function planAttachment(record: ContainerRecord, network: NetworkRecord, wish: JoinWish): AttachmentRecord {
  const { links, hasDefaultRoute } = lookInto(record);
  const taken = new Set([...links, ...record.attachments.map(({ ifname }) => ifname)]);
  const { addresses, mac, aliases = [] } = wish;
  return {
    network: network.id,
    ifname: freeName(taken),
    list: listText(network, !hasDefaultRoute, addresses.length > 0),
    ...(aliases.length === 0 ? {} : { aliases }),
    capabilityArgs: {
      ...(addresses.length === 0 ? {} : { ips: addresses.map(formatAddress) }),
      ...(mac === undefined ? {} : { mac }),
      ...(record.attachments.length === 0 ? publishing(record) : {}),
    },
  };
}

function publishing({ ports }: ContainerRecord): { readonly portMappings?: readonly object[] } {
  return ports.length === 0 ? {} : { portMappings: portMappings(ports) };
}

/** As every runtime has it; names are answered on it. */
function openLoopback({ netns }: ContainerRecord): void {
  const handle = openNetns(netns);
  try {
    using socket = RtSocket.open(handle);
    linkSet(socket, "lo", { up: true });
  } finally {
    handle.close();
  }
}

/** What there is in the container's network namespace: its links, and whether it has a way out. */
function lookInto({ netns }: ContainerRecord): {
  readonly links: readonly string[];
  readonly hasDefaultRoute: boolean;
} {
  const handle = openNetns(netns);
  try {
    using socket = RtSocket.open(handle);
    return {
      links: linkList(socket).map(({ name }) => name),
      hasDefaultRoute: routeList(socket).some(({ dst, type }) => dst.prefix === 0 && type === RTN_UNICAST),
    };
  } finally {
    handle.close();
  }
}

// rtnetlink(7)
const RTN_UNICAST = 1;

function freeName(taken: ReadonlySet<string>): string {
  for (let at = 0; ; at++) if (!taken.has(`eth${at}`)) return `eth${at}`;
}

function listed({ attachments }: ContainerRecord): string {
  return attachments.length === 0
    ? "it is on none"
    : `it is on ${attachments.map(({ network }) => network).join(", ")}`;
}
