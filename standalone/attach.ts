/**
 * A container's interfaces: each is a CNI list that lib/runtime runs, with this very executable as its plugins.
 *
 * @module
 */

import { parseResult } from "../lib/cni/versions.ts";
import { isTsnetError, joinErrors, messageOf, TsnetError } from "../lib/errors.ts";
import { forgetContainer } from "../lib/firewall/flows.ts";
import { realTools } from "../lib/firewall/tools.ts";
import { formatCidr } from "../lib/net/cidr.ts";
import { linkSet } from "../lib/netlink/link.ts";
import { RtSocket } from "../lib/netlink/socket.ts";
import type { Executor } from "../lib/runtime/execute.ts";
import { type NetworkList, parseNetworkList } from "../lib/runtime/list.ts";
import type { RuntimeCall } from "../lib/runtime/request.ts";
import { Runtime } from "../lib/runtime/runtime.ts";
import { ownExecutable } from "../lib/sys/executable.ts";
import { makeDirectory, writeSysctls } from "../lib/sys/files.ts";
import { addNetns, netnsNames, openNetns, removeNetns } from "../lib/sys/netns.ts";
import { namespaceOf } from "../lib/sys/process.ts";
import { ensureSymlink, removeTree } from "../lib/sys/trees.ts";
import type { AttachmentRecord, ContainerRecord } from "./state/records.ts";
import type { Turnstile } from "./turnstile.ts";

/** The plugins that our lists name, and the one that is all of them in one call. */
const PLUGINS = ["bridge", "host-local", "portmap", "tsnet"] as const;

/** What carries out calls of our own plugins in this process, once it is there: a process each costs more than its work. */
let executeHere: Executor | undefined;

/** Has every runtime that is opened from now on call plugins by `execute`. */
export function usePlugins(execute: Executor): void {
  executeHere = execute;
}

/** Makes the folder of plugins, links to this executable, and returns the runtime that calls them. */
export function openRuntime(directory: string): Runtime {
  const executable = ownExecutable();
  if (executable === undefined) {
    throw new TsnetError("tsnet up and down need the compiled executable: npm run build, then dist/tsnet", {
      code: "unsupported",
      op: "find plugins",
    });
  }
  const folder = pluginFolder(directory);
  makeDirectory(folder);
  for (const name of PLUGINS) ensureSymlink(executable, `${folder}/${name}`);
  return new Runtime({ pluginDirs: [folder], ...(executeHere === undefined ? {} : { execute: executeHere }) });
}

/** Removes the folder of plugins. */
export function closeRuntime(directory: string): void {
  removeTree(pluginFolder(directory));
}

/** Whether the network namespace is the container's, not the host's nor another container's. */
export function ownsNetns({ network }: Pick<ContainerRecord, "network">): boolean {
  return network === "bridge" || network === "none";
}

/** Makes the container's network namespace and puts it on its networks; the record gets its addresses. */
export async function connect(
  runtime: Runtime,
  record: ContainerRecord,
  turnstile: Turnstile,
): Promise<ContainerRecord> {
  if (!ownsNetns(record)) return record;
  // Two `ip netns add` at a time both mount over /run/netns if nobody did before.
  await turnstile.pass(() => makeNetns(record.id));
  openLoopback(record.netns);
  const attachments: AttachmentRecord[] = [];
  for (const attachment of record.attachments) attachments.push(await attach(runtime, record, attachment));
  return { ...record, attachments };
}

/** Puts a running container on its networks anew, with the addresses that it had: others have learnt its MAC, too. */
export async function reconnect(runtime: Runtime, record: ContainerRecord): Promise<ContainerRecord> {
  const attachments: AttachmentRecord[] = [];
  for (const attachment of record.attachments) {
    await detach(runtime, record, attachment);
    const { mac, addresses = [], capabilityArgs } = attachment;
    const ips = addresses.map((address) => address.replace(/\/\d+$/, ""));
    const again = { ...attachment, capabilityArgs: { ...capabilityArgs, ips, ...(mac === undefined ? {} : { mac }) } };
    attachments.push({ ...(await attach(runtime, record, again)), capabilityArgs });
  }
  return { ...record, attachments };
}

/** Takes the container off its networks and removes its namespace; what is gone already is fine. */
export async function disconnect(runtime: Runtime, record: ContainerRecord): Promise<void> {
  const errors: unknown[] = [];
  for (const attachment of record.attachments.toReversed()) {
    try {
      await detach(runtime, record, attachment);
    } catch (error) {
      errors.push(error);
    }
  }
  if (ownsNetns(record)) await removeNetns(record.id).catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw joinErrors("disconnect", errors);
}

/** Adds one interface to a container that has a namespace; it comes back with its addresses. */
export async function attach(
  runtime: Runtime,
  record: ContainerRecord,
  attachment: AttachmentRecord,
): Promise<AttachmentRecord> {
  const list = chainOf(attachment);
  const { ips, interfaces } = parseResult(await runtime.addList(list, callOf(record, attachment)), list.cniVersion);
  const mac = interfaces.find(({ name, sandbox }) => name === attachment.ifname && sandbox === record.netns)?.mac;
  return {
    ...attachment,
    addresses: ips.map(({ address }) => formatCidr(address)),
    ...(mac === undefined ? {} : { mac }),
  };
}

/** Has an interface that stays publish what `attachment` says, and nothing else. */
export async function republish(
  runtime: Runtime,
  record: ContainerRecord,
  attachment: AttachmentRecord,
): Promise<void> {
  await runtime.addAgain(listOf(attachment), callOf(record, attachment), "portmap");
}

/** Takes one interface of a container away; what is gone already is fine. */
export async function detach(runtime: Runtime, record: ContainerRecord, attachment: AttachmentRecord): Promise<void> {
  const call = callOf(record, attachment);
  // A foreign namespace may be gone and its path another's by now. The host's end is by a name of its own.
  const list = chainOf(attachment);
  await runtime.delList(list, record.network === "foreign" ? { ...call, netns: "" } : call);
  // Else done together with its rules.
  const isMasqueraded = listOf(attachment).plugins.some(({ raw }) => raw.ipMasq === true);
  const addresses = (attachment.addresses ?? []).map((address) => address.replace(/\/\d+$/, ""));
  if (!isMasqueraded) await forgetContainer(addresses, [], realTools().conntrack);
}

/**
 * What is wrong with the network of a container that runs, or undefined. Asks the kernel: rules may have been
 * flushed and links deleted under it.
 */
export async function damageOf(runtime: Runtime, record: ContainerRecord): Promise<string | undefined> {
  for (const attachment of record.attachments) {
    try {
      await runtime.checkList(chainOf(attachment), callOf(record, attachment));
    } catch (error) {
      if (!isTsnetError(error)) throw error;
      return messageOf(error);
    }
  }
  return undefined;
}

/** Whether the namespace of that name is still the one that the container's process is in. */
export function isInItsNetns({ network, netns, process }: ContainerRecord): boolean {
  if (network === "host" || process === undefined) return true;
  try {
    const handle = openNetns(netns);
    handle.close();
    return handle.inode === namespaceOf(process.pid, "net");
  } catch {
    return false;
  }
}

async function makeNetns(id: string): Promise<void> {
  // One of this name is what a killed `up` left; a foreign one was found by the plan.
  if (netnsNames().includes(id)) await removeNetns(id);
  await addNetns(id);
}

function openLoopback(path: string): void {
  const netns = openNetns(path);
  try {
    using socket = RtSocket.open(netns);
    linkSet(socket, "lo", { up: true });
    // As Docker has it: in a network namespace of one's own these are nobody else's business.
    writeSysctls(netns, [
      ["net/ipv4/ip_unprivileged_port_start", "0"],
      ["net/ipv4/ping_group_range", "0 2147483647"],
      // Inherited from a host that forwards it would make a container on two networks a way round the walls.
      ["net/ipv4/ip_forward", "0"],
    ]);
  } finally {
    netns.close();
  }
}

function listOf({ list, network }: AttachmentRecord): NetworkList {
  return parseNetworkList(list, `network ${network}`);
}

/** The same list with its plugins as parts of one: one call in place of one each, and one change of the packet filter. */
function chainOf(attachment: AttachmentRecord): NetworkList {
  const list = listOf(attachment);
  const capabilities = [...new Set(list.plugins.flatMap((plugin) => plugin.capabilities))];
  const raw = {
    type: "tsnet",
    capabilities: Object.fromEntries(capabilities.map((name) => [name, true])),
    parts: list.plugins.map((plugin) => plugin.raw),
  };
  return { ...list, plugins: [{ type: raw.type, capabilities, raw }] };
}

function callOf({ id, netns }: ContainerRecord, { ifname, capabilityArgs }: AttachmentRecord): RuntimeCall {
  return { containerId: id, netns, ifname, capabilityArgs };
}

function pluginFolder(directory: string): string {
  return `${directory}/cni`;
}
