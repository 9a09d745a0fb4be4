/**
 * What the kernel holds of ours: on the VXLAN devices everything that somebody set, elsewhere the routes that carry
 * our protocol number.
 *
 * What the kernel makes by itself is nobody's damage: routes that come with an address, neighbours that it asked for,
 * FDB entries that a learning device picked up.
 *
 * @module
 */
import { RT_TABLE_MAIN, RTPROT_KERNEL, RTPROT_TSNET } from "../../lib/netlink/constants.ts";
import type { RtEvent } from "../../lib/netlink/events.ts";
import { fdbList } from "../../lib/netlink/fdb.ts";
import { neighList } from "../../lib/netlink/neigh.ts";
import { type Route, routeList } from "../../lib/netlink/route.ts";
import type { RtSocket } from "../../lib/netlink/socket.ts";
import { type Entry, fdbLine, neighbourEntry, routeEntry } from "./entry.ts";

// linux/rtnetlink.h
const RT_TABLE_LOCAL = 255;
const RTPROT_REDIRECT = 1;
const RTPROT_RA = 9;
const KERNELS_OWN: readonly number[] = [RTPROT_REDIRECT, RTPROT_KERNEL, RTPROT_RA];

/** All that is ours, by dumps, and what stands where something of `wanted` shall be. */
export function heldEntries(
  socket: RtSocket,
  devices: ReadonlySet<number>,
  wanted: { get(slot: string): Entry | undefined },
): readonly Entry[] {
  const entries: Entry[] = [];
  for (const route of routeList(socket)) {
    if (!isSet(route)) continue;
    const entry = routeEntry(route);
    if (isOurs(entry, devices) || wanted.get(entry.slot) !== undefined) entries.push(entry);
  }
  for (const index of devices) {
    for (const neigh of neighList(socket, { index })) {
      const entry = neighbourEntry(neigh);
      if (isOurs(entry, devices) || wanted.get(entry.slot) !== undefined) entries.push(entry);
    }
    for (const fdb of fdbList(socket, index)) {
      const entry = fdbLine(fdb);
      if (isOurs(entry, devices) || wanted.get(entry.slot) !== undefined) entries.push(entry);
    }
  }
  return entries;
}

/** The entry that an event is about; undefined for other events, and for what the kernel does by itself. */
export function entryOf(event: RtEvent): Entry | undefined {
  if (event.kind === "route") return isSet(event.route) ? routeEntry(event.route) : undefined;
  if (event.kind === "neigh") return neighbourEntry(event.neigh);
  if (event.kind === "fdb") return fdbLine(event.entry);
  return undefined;
}

/** Whether it is for us to say that the entry shall not be. */
export function isOurs(entry: Entry, devices: ReadonlySet<number>): boolean {
  if (entry.kind === "neighbour") return entry.neigh.permanent && devices.has(entry.neigh.index);
  if (entry.kind === "fdb") return entry.fdb.learned !== true && devices.has(entry.fdb.index);
  const { dev, protocol } = entry.route;
  return protocol === RTPROT_TSNET || (dev !== undefined && devices.has(dev));
}

function isSet(route: Route): boolean {
  return (route.table ?? RT_TABLE_MAIN) !== RT_TABLE_LOCAL && !KERNELS_OWN.includes(route.protocol);
}
