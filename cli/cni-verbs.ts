/**
 * What each of `tsnet cni`'s verbs does.
 *
 * @module
 */
import type { Attachment, ValidAttachment } from "../lib/cni/types.ts";
import { isTsnetError, messageOf } from "../lib/errors.ts";
import { warn } from "../lib/log.ts";
import { linkGet } from "../lib/netlink/link.ts";
import { RtSocket } from "../lib/netlink/socket.ts";
import type { CachedAttachment } from "../lib/runtime/cache.ts";
import { type JsonObject, type NetworkList, parseNetworkList } from "../lib/runtime/list.ts";
import { loadNetworkFile, loadNetworkList } from "../lib/runtime/load.ts";
import type { RuntimeCall } from "../lib/runtime/request.ts";
import { Runtime } from "../lib/runtime/runtime.ts";
import { openNetns } from "../lib/sys/netns.ts";
import { type CniOptions, callOf, confDirOf, pluginDirsOf } from "./cni-options.ts";
import { printAttachments, printResult } from "./cni-tables.ts";
import { formatOf, printRows, usageError } from "./output.ts";

export interface GcOptions extends CniOptions {
  readonly keep?: readonly string[];
  readonly all?: boolean;
}

export async function add(network: string, netns: string, options: CniOptions): Promise<void> {
  const call = callOf(netns, options, process.env);
  const result = await addOrUndo(runtimeOf(options), networkOf(network, options), call);
  printResult(formatOf(options), result);
}

export async function del(network: string, netns: string | undefined, options: CniOptions): Promise<void> {
  const runtime = runtimeOf(options);
  const call = callOf(netns, options, process.env);
  const list = networkOrCached(network, options, runtime.attachments(), call);
  const cached = runtime.attachments(list.name).find((entry) => isOf(entry, call));
  await runtime.delList(list, call.netns === "" && cached !== undefined ? { ...call, netns: cached.netns } : call);
  printAttachments(formatOf(options), [{ network: list.name, ...attachmentOf(call), state: "deleted" }]);
}

export async function check(network: string, netns: string, options: CniOptions): Promise<void> {
  const call = callOf(netns, options, process.env);
  const list = networkOf(network, options);
  await runtimeOf(options).checkList(list, call);
  printAttachments(formatOf(options), [
    { network: list.name, ...attachmentOf(call), state: list.disableCheck ? "not checked" : "ok" },
  ]);
}

export async function gc(network: string, _netns: string | undefined, options: GcOptions): Promise<void> {
  const runtime = runtimeOf(options);
  const named = options.all === true ? [] : options.keep?.map(parseKeep);
  const list = networkOf(network, options);
  const before = runtime.attachments(list.name);
  const deleted = await runtime.gcList(list, named ?? before.filter(({ netns }) => isNetns(netns)).map(validOf));
  printAttachments(
    formatOf(options),
    before.map((entry) => ({
      network: list.name,
      ...attachmentOf(entry),
      state: deleted.some((gone) => isOf(gone, entry)) ? "deleted" : "kept",
    })),
  );
}

export async function status(network: string, _netns: string | undefined, options: CniOptions): Promise<void> {
  const list = networkOf(network, options);
  const asked = await runtimeOf(options).statusList(list);
  const rows = [{ network: list.name, state: asked ? "ready" : "unknown: STATUS needs cniVersion 1.1.0" }];
  printRows(
    formatOf(options),
    rows,
    [
      { title: "NETWORK", cell: (row) => row.network },
      { title: "STATE", cell: (row) => row.state, style: () => (asked ? "green" : "yellow") },
    ],
    ([row]) => row,
  );
}

/** ADD. One that fails is taken back, unless what is there was there before. */
async function addOrUndo(runtime: Runtime, list: NetworkList, call: RuntimeCall): Promise<JsonObject> {
  const there = runtime.attachments(list.name).some((entry) => isOf(entry, call)) || hasLink(call);
  try {
    return await runtime.addList(list, call);
  } catch (error) {
    const begun = !isTsnetError(error, "not-found", "environment", "busy");
    if (begun && !there) {
      await runtime.delList(list, call).catch((left) => {
        if (messageOf(left) !== messageOf(error)) warn(`after the failed ADD: ${messageOf(left)}`);
      });
    }
    throw error;
  }
}

/** Whether the namespace has an interface of that name; a namespace that cannot be opened has none. */
function hasLink({ netns: path, ifname }: RuntimeCall): boolean {
  try {
    const netns = openNetns(path);
    try {
      using socket = RtSocket.open(netns);
      return linkGet(socket, ifname) !== undefined;
    } finally {
      netns.close();
    }
  } catch (error) {
    if (isTsnetError(error, "not-found", "invalid-netns")) return false;
    throw error;
  }
}

function runtimeOf(options: CniOptions): Runtime {
  const { cacheDir } = options;
  return new Runtime({
    pluginDirs: pluginDirsOf(options, process.env),
    ...(cacheDir === undefined ? {} : { cacheDir }),
  });
}

/** A network by its name, or by the path of its file. */
function networkOf(network: string, options: CniOptions): NetworkList {
  if (/\/|\.(conflist|conf|json)$/.test(network)) return loadNetworkFile(network);
  return loadNetworkList(confDirOf(options, process.env), network);
}

/** The same for DEL, which falls back on the config that ADD ran where the network's file is gone. */
function networkOrCached(
  network: string,
  options: CniOptions,
  attachments: readonly CachedAttachment[],
  call: RuntimeCall,
): NetworkList {
  try {
    return networkOf(network, options);
  } catch (error) {
    const cached = attachments.find((entry) => entry.network === network && isOf(entry, call));
    if (!isTsnetError(error, "not-found") || cached === undefined || cached.config === "") throw error;
    return parseNetworkList(cached.config, `the cached config of network ${network}`);
  }
}

function parseKeep(text: string): ValidAttachment {
  const [containerID = "", ifname = "", ...more] = text.split(":");
  if (containerID === "" || ifname === "" || more.length > 0) {
    throw usageError(`--keep ${text} names no attachment`, "write ID:IFNAME, as web:eth0");
  }
  return { containerID, ifname };
}

function isNetns(path: string): boolean {
  try {
    openNetns(path).close();
    return true;
  } catch {
    return false;
  }
}

function validOf({ containerId, ifname }: Named): ValidAttachment {
  return { containerID: containerId, ifname };
}

type Named = Pick<Attachment, "containerId" | "ifname">;

function isOf(one: Named, other: Named): boolean {
  return one.containerId === other.containerId && one.ifname === other.ifname;
}

function attachmentOf({ containerId, ifname }: Named): Named {
  return { containerId, ifname };
}
