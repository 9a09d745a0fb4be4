/**
 * The fabric on a real kernel: keeps what is wanted, sends what differs, and puts back what others change.
 *
 *     spec, peers → wanted (what each needs) → table (all of it) ─┐
 *     kernel: dumps → held ──────────────────────────────────────┴→ difference → apply
 *     kernel: events → observed ─────────────────────────────────────┘
 *
 * Nothing of it is remembered across a restart: the kernel is what is adopted, by the first comparison.
 *
 * @module
 */
import { type Clock, systemClock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { type RtEvents, rtEvents } from "../../lib/netlink/events.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import type { Netns } from "../../lib/sys/netns.ts";
import { FAMILIES } from "../parts.ts";
import type { Backend, Parts } from "../types.ts";
import type { Fabric } from "./fabric.ts";
import { KernelFabric } from "./kernelfabric.ts";
import { findDevice } from "./make.ts";
import { Rivalry } from "./rivalry.ts";

export interface OpenOptions {
  readonly log: Log;
  readonly clock?: Clock;
  /** The namespace; ours unless given. */
  readonly netns?: Netns;
}

/** The fabric, and what of the kernel is to be known before there is anything to configure. */
export interface OpenFabric extends Fabric {
  /** The devices that {@link Fabric.configure} would adopt: names and VTEP MACs. */
  readonly adoptable: (backend: Backend) => Parts<{ readonly name: string; readonly mac: string }>;
}

/** @throws TsnetError `permission` without CAP_NET_ADMIN. */
export function openFabric({ log, clock = systemClock, netns }: OpenOptions): OpenFabric {
  const socket = RtSocket.open(netns);
  let events: RtEvents;
  try {
    const groups = ["link", "addr4", "addr6", "route4", "route6", "neigh"] as const;
    events = rtEvents({ groups, ...(netns === undefined ? {} : { netns }) });
  } catch (error) {
    socket.close();
    throw error;
  }
  const fabric = new KernelFabric({
    socket,
    events,
    netns,
    log,
    unwritten: new Map(),
    rivalry: new Rivalry(log, clock),
  });
  return Object.assign(fabric, { adoptable: (backend: Backend) => adoptable(socket, backend) });
}

function adoptable(socket: RtSocket, backend: Backend): ReturnType<OpenFabric["adoptable"]> {
  if (backend.type !== "vxlan") return {};
  return Object.fromEntries(
    FAMILIES.flatMap((family) => {
      const link = findDevice(socket, family, backend.vni);
      return link === undefined ? [] : [[family, { name: link.name, mac: link.mac }]];
    }),
  );
}
