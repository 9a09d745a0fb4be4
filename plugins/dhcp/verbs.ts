/**
 * The plugin's verbs: each asks the daemon, which holds the leases.
 *
 * @module
 */
import { resolve } from "node:path";
import { PluginError } from "../../lib/cni/errors.ts";
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { warn } from "../../lib/log.ts";
import { formatCidr, sameCidr } from "../../lib/net/cidr.ts";
import { exists, namesIn } from "../../lib/sys/files.ts";
import { askDaemon, SOON } from "./client.ts";
import { parseConfig, parseSocket } from "./config.ts";
import { isRecord, recordName, stateFolder } from "./place.ts";
import { resultOf } from "./plan.ts";
import { type Collection, encodeWish, parseHeld, parseLeases, parseReleased } from "./protocol.ts";

/** A lease, new or the one that the attachment has. */
export async function add(call: PluginCall): Promise<CniResult> {
  const config = parseConfig(call);
  // The daemon runs elsewhere.
  const netns = resolve(call.netns);
  const body = encodeWish({ ...config, attachment: call.attachment, netns });
  const held = parseHeld(await askDaemon(config.socket, { method: "POST", path: "/allocate", body }));
  return resultOf(held, config);
}

/** Gives the lease back. Without a daemon of ours that is an error only where there is a lease. */
export async function del(call: PluginCall): Promise<void> {
  const socket = parseSocket(call);
  const record = `${stateFolder(socket)}/${recordName(call.attachment)}`;
  await unlessIdle(
    () => exists(record),
    async () =>
      void parseReleased(await askDaemon(socket, { method: "POST", path: "/release", body: call.attachment }, SOON)),
  );
}

/** The daemon holds the lease, and it is that of the result. */
export async function check(call: PluginCall): Promise<void> {
  const { socket } = parseConfig(call);
  const request = { method: "POST", path: "/check", body: call.attachment };
  const { address } = parseHeld(await askDaemon(socket, request, SOON));
  const ips = call.conf.prevResult?.ips ?? [];
  if (ips.some((ip) => sameCidr(ip.address, address))) return;
  const wanted = ips.map((ip) => formatCidr(ip.address)).join(", ");
  throw new TsnetError(
    `the DHCP lease of ${call.containerId} ${call.ifname} is ${formatCidr(address)}, the result has ${wanted || "no address"}`,
    { code: "check-failed", op: "CHECK dhcp" },
  );
}

/** Gives back the leases of this network's attachments that are none any more. */
export async function gc(call: PluginCall): Promise<void> {
  const socket = parseSocket(call);
  const valid = call.conf.validAttachments;
  if (valid === undefined) return;
  const keep = valid.map(({ containerID, ifname }) => ({ containerId: containerID, ifname }));
  const body: Collection = { network: call.conf.name, keep };
  await unlessIdle(
    () => namesIn(stateFolder(socket)).some(isRecord),
    async () => void parseReleased(await askDaemon(socket, { method: "POST", path: "/collect", body }, SOON)),
  );
}

/** An ADD takes a daemon of ours: any other state is code 50. */
export async function status(call: PluginCall): Promise<void> {
  const { socket } = parseConfig(call);
  try {
    parseLeases(await askDaemon(socket, { method: "GET", path: "/leases" }, SOON));
  } catch (error) {
    throw new PluginError(messageOf(error), UNAVAILABLE);
  }
}

/** The specification's "the plugin is not available". */
const UNAVAILABLE = 50;

/** Does without a daemon of ours where there is nothing that it would do, as after an ADD that found none. */
async function unlessIdle(isNeeded: () => boolean, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isTsnetError(error, "not-found", "conflict") || isNeeded()) throw error;
    if (isTsnetError(error, "conflict")) warn(messageOf(error));
  }
}
