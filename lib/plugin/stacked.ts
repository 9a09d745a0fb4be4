/**
 * A container's interface that stands on another link, its master: what macvlan, ipvlan and vlan have in common.
 *
 * The kernel makes it right in the container's namespace under its final name, so that nobody sees it elsewhere.
 *
 * @module
 */
import { isInterfaceName } from "../cni/names.ts";
import type { PluginCall } from "../cni/types.ts";
import { hasErrno, isTsnetError, messageOf, TsnetError } from "../errors.ts";
import { RT_TABLE_MAIN } from "../netlink/constants.ts";
import type { LinkKind } from "../netlink/kinds.ts";
import { type Link, linkAdd, linkDel, linkGet, linkSet } from "../netlink/link.ts";
import { routeList } from "../netlink/route.ts";
import { RtSocket } from "../netlink/socket.ts";
import { checkFailed } from "./check.ts";
import { aliasOf, ipamTypeOf, type Scene, statusOfAddresses } from "./interface.ts";
import { kernelLacks } from "./lacks.ts";
import { refuseExisting, requireLink } from "./link.ts";
import type { Namespaces } from "./netns.ts";

/** The keys that the three share. */
export interface StackedConfig {
  /** Undefined: the interface of the default route. */
  readonly master: string | undefined;
  /** Whether the master is in the container, not on the host. */
  readonly linkInContainer: boolean;
  /** Bytes; undefined: the master's. */
  readonly mtu: number | undefined;
  readonly ipamType: string | undefined;
}

// The least that IPv4 allows (RFC 791).
const MIN_MTU = 68;

/** @throws TsnetError `invalid` naming the key, what it holds and what is allowed. */
export function parseStacked(call: PluginCall): StackedConfig {
  const { raw } = call.conf;
  const master = raw.string("master") ?? "";
  if (master !== "" && !isInterfaceName(master))
    throw invalid(
      `master ${JSON.stringify(master)} is no interface name: at most 15 bytes, without "/", ":" and space`,
    );
  const mtu = raw.integer("mtu") ?? 0;
  if (mtu !== 0 && mtu < MIN_MTU)
    throw invalid(`invalid MTU ${mtu}, must be 0 for the master's, or from ${MIN_MTU} to the master's`);
  return {
    master: master === "" ? undefined : master,
    linkInContainer: raw.boolean("linkInContainer") ?? false,
    mtu: mtu === 0 ? undefined : mtu,
    ipamType: ipamTypeOf(call),
  };
}

/** A link to stand on a master. */
export interface StackedLink {
  readonly config: StackedConfig;
  readonly kind: LinkKind;
  readonly mac?: string | undefined;
  /** What an errno of the kernel means for this kind on this master, as the end of a sentence. */
  readonly reasons?: Readonly<Record<string, string>>;
}

/** Makes the container's interface on its master, tagged as ours, and tells `undo`. It is down. */
export function putStacked(scene: Scene, wanted: StackedLink): Link {
  const { call, container, undo } = scene;
  const { config } = wanted;
  const master = findMaster(config.linkInContainer ? container : scene.host, config);
  if (config.mtu !== undefined && config.mtu > master.mtu)
    throw invalid(`invalid MTU ${config.mtu}, must be [0, master MTU(${master.mtu})]`);
  try {
    make(scene, wanted, master);
  } catch (error) {
    throw refused(error, wanted, master);
  }
  undo.add(`the ${wanted.kind.kind}`, () => void linkDel(container, call.ifname));
  linkSet(container, call.ifname, { alias: aliasOf(call.attachment) });
  return requireLink(container, call.ifname);
}

/**
 * The master, by its name or by the default route.
 *
 * @throws TsnetError `not-found`.
 */
export function findMaster(socket: RtSocket, { master, linkInContainer }: StackedConfig): Link {
  const found = master === undefined ? ofDefaultRoute(socket) : linkGet(socket, master);
  if (found !== undefined) return found;
  const where = linkInContainer ? "the container" : "the host";
  const message =
    master === undefined
      ? `no default route interface found on ${where}: name one as master`
      : `failed to lookup master "${master}": ${where} has no such link`;
  throw new TsnetError(message, { code: "not-found", op: "find master", errno: "ENODEV" });
}

/** @throws TsnetError `check-failed` if the link does not stand on the master that the config names. */
export function checkMaster(link: Link, { host, container }: Namespaces, config: StackedConfig): void {
  const socket = config.linkInContainer ? container : host;
  const master = config.master === undefined ? linkGet(socket, link.peerIndex ?? 0) : linkGet(socket, config.master);
  if (master === undefined) throw checkFailed(`the master ${config.master ?? ""} of ${link.name} is gone`);
  if (master.index !== link.peerIndex) throw checkFailed(`${link.name} does not stand on its master ${master.name}`);
}

/** STATUS: the kernel knows the kind, the master is there, IPAM can give. @throws TsnetError what an ADD would fail for. */
export async function statusOfStacked(call: PluginCall, config: StackedConfig, kind: string): Promise<void> {
  lookForMaster(config, kind);
  await statusOfAddresses(call);
}

function lookForMaster(config: StackedConfig, kind: string): void {
  using host = RtSocket.open();
  probeKind(host, kind);
  if (!config.linkInContainer) findMaster(host, config);
}

/** Without a master the kernel makes none of them; but what it does not know, it says before (`Unknown device type`). */
function probeKind(socket: RtSocket, kind: string): void {
  try {
    linkAdd(socket, { name: "", kind: { kind } });
  } catch (error) {
    if (hasErrno(error, "EOPNOTSUPP")) throw kernelLacks(kind, error);
    if (!hasErrno(error, "EINVAL", "ENODEV")) throw error;
  }
}

function make(scene: Scene, { config, kind, mac }: StackedLink, { index }: Link): void {
  const { call, host, container, netns } = scene;
  const spec = {
    kind,
    link: index,
    ...(config.mtu === undefined ? {} : { mtu: config.mtu }),
    ...(mac === undefined ? {} : { mac }),
  };
  const add = (name: string) => {
    if (config.linkInContainer) linkAdd(container, { ...spec, name });
    else linkAdd(host, { ...spec, name, netns });
  };
  try {
    add(call.ifname);
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw error;
    refuseExisting(container, netns, call.ifname, "interface");
    // Old kernels look for the name in the namespace of the socket, too.
    addRenamed(container, add, call.ifname);
  }
}

function addRenamed(container: RtSocket, add: (name: string) => void, ifname: string): void {
  const temporary = `tmp${crypto.randomUUID().slice(0, 8)}`;
  add(temporary);
  try {
    linkSet(container, temporary, { name: ifname });
  } catch (error) {
    linkDel(container, temporary);
    throw error;
  }
}

function refused(error: unknown, { kind: { kind }, reasons = {} }: StackedLink, master: Link): unknown {
  if (!isTsnetError(error) || error.op === "ADD") return error;
  if (hasErrno(error, "EOPNOTSUPP")) return kernelLacks(kind, error);
  const reason = error.errno === undefined ? undefined : (reasons[error.errno] ?? REASONS[error.errno]);
  const message = `cannot make a ${kind} on ${master.name}: ${reason === undefined ? "" : `${reason}: `}${messageOf(error)}`;
  const { code, errno } = error;
  return new TsnetError(message, { code, op: error.op, cause: error, ...(errno === undefined ? {} : { errno }) });
}

const REASONS: Readonly<Record<string, string>> = {
  EBUSY: "it is a port of a bridge, a bond or the like, or has links of another such kind",
};

/** Where packets go that no other route is for: the best default route of IPv4, else of IPv6. */
function ofDefaultRoute(socket: RtSocket): Link | undefined {
  const [best] = routeList(socket)
    .filter((route) => route.dst.prefix === 0 && route.table === RT_TABLE_MAIN && route.dev !== undefined)
    .toSorted((a, b) => a.family - b.family || (a.priority ?? 0) - (b.priority ?? 0));
  return best?.dev === undefined ? undefined : linkGet(socket, best.dev);
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "read config" });
}
