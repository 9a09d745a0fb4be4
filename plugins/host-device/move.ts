/**
 * A device on its way into a container and back. Its name on the host is kept in its alias, as the reference plugin
 * does, so that either gives back what the other took.
 *
 * @module
 */
import { isInterfaceName } from "../../lib/cni/names.ts";
import { hasErrno, messageOf, TsnetError } from "../../lib/errors.ts";
import { type Link, linkGet, linkList, linkSet } from "../../lib/netlink/link.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import type { Scene } from "../../lib/plugin/interface.ts";
import { requireLink } from "../../lib/plugin/link.ts";
import { insideIfThere } from "../../lib/plugin/netns.ts";
import { openOwnNetns } from "../../lib/sys/netns.ts";
import { type DeviceRecord, removeRecord, writeRecord } from "./record.ts";

/** What a device is to be on the host again. */
export type Home = Pick<DeviceRecord, "device" | "alias" | "up">;

/** Moves the link into the container under the call's name, and tells `undo`. It is down. */
export function moveIn({ call, host, container, netns, undo }: Scene, link: Link): Link {
  const { ifname, attachment } = call;
  const { name: device, mac, alias = "", up } = link;
  const record = { attachment, netns: call.netns, device, mac, alias, up };
  undo.add("its record", () => removeRecord(attachment));
  writeRecord(record);
  undo.add(`the move of ${device}`, () => {
    const stayed = linkGet(host, device);
    if (stayed?.index === link.index) {
      if (up && !stayed.up) linkSet(host, device, { up });
      return;
    }
    // Also half-way: in the container, but not renamed.
    const there = [ifname, device].map((name) => linkGet(container, name)).find((one) => one?.mac === mac);
    if (there !== undefined) moveOut(container, host, there, record);
  });
  try {
    // The kernel closes it, moves it and then renames it there, so that nobody on the host sees the new name.
    linkSet(host, link.index, { netns, name: ifname, alias: device });
  } catch (cause) {
    throw moveFailed(`failed to move ${device} into ${netns.path} as ${ifname}`, cause);
  }
  return requireLink(container, ifname);
}

/**
 * Moves the link back to the host, with the name and all that it had there. Down first: it is renamed where nobody
 * watches, and the kernel's addresses and routes go with the namespace.
 *
 * @throws TsnetError `exists` if the host has another link of its name; it then stays as it was.
 */
export function moveOut(container: RtSocket, host: RtSocket, link: Link, home: Home): void {
  const { device, alias, up } = home;
  linkSet(container, link.index, { up: false });
  const netns = openOwnNetns();
  try {
    if (link.name !== device && linkGet(container, device) === undefined)
      linkSet(container, link.index, { name: device });
    linkSet(container, link.index, { netns, name: device, alias });
  } catch (cause) {
    takeBack(container, link);
    throw moveFailed(`failed to move ${link.name} out of its container as ${device}`, cause);
  } finally {
    netns.close();
  }
  if (up) linkSet(host, device, { up });
}

/**
 * What name the link had on the host, if it is a device of this plugin's: the record's, or without one the alias that
 * the reference plugin or an older one of us left, if the config does not name another device. The namespace's path
 * may lead to a stranger's by now, whose interface has the same name: a link without an alias is known by its MAC.
 */
export function homeOf(link: Link, record: DeviceRecord | undefined, device: string | undefined): Home | undefined {
  const { alias = "" } = link;
  if (record !== undefined) {
    const isIt = alias === "" ? link.mac === record.mac : alias === record.device;
    return isIt ? record : undefined;
  }
  if (!isInterfaceName(alias) || (device !== undefined && alias !== device)) return undefined;
  return { device: alias, alias: "", up: false };
}

/** Gives the device back that is in the namespace under the name; false if it is not there. */
export function giveBack(
  host: RtSocket,
  netns: string,
  what: { readonly ifname: string; readonly record: DeviceRecord | undefined; readonly device: string | undefined },
): boolean {
  const done = insideIfThere(netns, (container) => {
    const link = linkGet(container, what.ifname);
    const home = link === undefined ? undefined : homeOf(link, what.record, what.device);
    if (link === undefined || home === undefined) return false;
    moveOut(container, host, link, home);
    return true;
  });
  return done === true;
}

/**
 * When a namespace ends, the kernel moves a device of hardware back to the host's first namespace as it is, under the
 * container's name for it or as `devN`: it gets its name back. A virtual one is gone for good.
 */
export function nameReturned(host: RtSocket, home: Home, mac: string | undefined): void {
  const { device, alias, up } = home;
  if (linkGet(host, device) !== undefined) return;
  const returned = linkList(host).find((link) => link.alias === device && (mac === undefined || link.mac === mac));
  if (returned === undefined) return;
  linkSet(host, returned.index, { up: false });
  linkSet(host, returned.index, { name: device, alias });
  if (up) linkSet(host, returned.index, { up });
}

/** It goes on to be the container's. */
function takeBack(container: RtSocket, before: Link): void {
  const { index, name, up, alias = "" } = before;
  const link = linkGet(container, index);
  if (link === undefined) return;
  if (link.name !== name) linkSet(container, index, { name });
  linkSet(container, index, { alias, up });
}

function moveFailed(what: string, cause: unknown): TsnetError {
  const taken = hasErrno(cause, "EEXIST");
  const hint = taken ? "there is another link of that name: rename or remove it, then try again" : messageOf(cause);
  const code = taken ? "exists" : cause instanceof TsnetError ? cause.code : "io";
  return new TsnetError(`${what}: ${hint}`, { code, op: "move link", cause });
}
