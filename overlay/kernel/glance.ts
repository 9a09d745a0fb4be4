/**
 * What a run of kernel events calls for: nothing, as a rule; a few entries; or a comparison of everything, where the
 * kernel changes in silence what hangs on what it told of. Pure but for what the underlay's watch remembers.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { contains, sameCidr } from "../../lib/net/cidr.ts";
import { RT_SCOPE_LINK } from "../../lib/netlink/constants.ts";
import type { RtEvent } from "../../lib/netlink/events.ts";
import { vxlanOf } from "../../lib/netlink/kinds.ts";
import type { Route } from "../../lib/netlink/route.ts";
import { FAMILIES, valuesOf } from "../parts.ts";
import type { Lease, Parts } from "../types.ts";
import type { DeviceSpec } from "./device.ts";
import type { Difference } from "./difference.ts";
import { entryOf, isOurs } from "./held.ts";
import { fixedDifference, isPort, outerChanges } from "./make.ts";
import { Observed } from "./observed.ts";
import type { WantedTable } from "./table.ts";
import type { DeviceRef } from "./wanted.ts";
import type { UnderlayWatch } from "./watch.ts";

export interface GlanceContext {
  readonly wishes: Parts<DeviceSpec>;
  readonly made: Parts<DeviceRef>;
  readonly table: WantedTable;
  readonly underlay: UnderlayWatch;
  /** Whose way hangs on the underlay's routes. */
  readonly routed: () => Iterable<Lease>;
  /** What nobody wants goes. */
  readonly sweep: boolean;
}

export interface Glance {
  /** A device, its address or the underlay changed: everything is to be compared. */
  readonly whole: boolean;
  readonly underlayChanged: boolean;
  /** Peers to which another route leads now, perhaps. */
  readonly touched: ReadonlySet<Lease>;
  readonly difference: Difference;
}

export function glance(events: readonly RtEvent[], context: GlanceContext): Glance {
  const { made, table, underlay, sweep } = context;
  const devices = new Set(valuesOf(made).map(({ index }) => index));
  const observed = new Observed(table, (entry) => isOurs(entry, devices));
  const touched = new Set<Lease>();
  let whole = false;
  let underlayChanged = false;
  for (const event of events) {
    // Each is seen: the watch remembers what was told last.
    if (underlay.see(event)) underlayChanged = true;
    if (event.kind === "lost") underlayChanged = true;
    if (whole || underlayChanged || disturbs(event, context)) {
      whole = true;
      continue;
    }
    const entry = entryOf(event);
    if (entry === undefined) continue;
    observed.see(entry, event.kind !== "lost" && event.gone);
    if (event.kind === "route" && !isOurs(entry, devices)) touch(touched, event.route, context.routed());
  }
  return { whole, underlayChanged, touched, difference: observed.difference({ sweep }) };
}

/** Whether one of our devices, or its address, is not as it shall be. */
function disturbs(event: RtEvent, { wishes, made }: GlanceContext): boolean {
  return FAMILIES.some((family) => {
    const wish = wishes[family];
    const device = made[family];
    return wish !== undefined && device !== undefined && disturbsDevice(event, wish, device);
  });
}

function disturbsDevice(event: RtEvent, wish: DeviceSpec, { index, name }: DeviceRef): boolean {
  if (event.kind === "addr" && event.addr.index === index) {
    const { cidr, scope } = event.addr;
    if (sameCidr(cidr, wish.address)) return event.gone;
    return !event.gone && !(cidr.address.family === 6 && scope === RT_SCOPE_LINK);
  }
  if (event.kind !== "link" || event.link.index !== index) return false;
  const { link, gone } = event;
  const settings = vxlanOf(link);
  if (gone || settings === undefined || !link.up || link.name !== name) return true;
  if (link.mtu !== wish.mtu || link.mac !== wish.mac || isPort(link)) return true;
  return fixedDifference(settings, wish) !== undefined || outerChanges(settings, wish) !== undefined;
}

function touch(touched: Set<Lease>, { family, dst }: Route, peers: Iterable<Lease>): void {
  for (const peer of peers) if (leadsTo(dst, peer, family)) touched.add(peer);
}

function leadsTo(dst: Route["dst"], { parts }: Lease, family: Family): boolean {
  const part = parts[family];
  return part !== undefined && contains(dst, part.address);
}
