/**
 * Who may send to whom, of all networks of the host: what the walls are that both back ends build. Pure.
 *
 * A wall stands around a network, where packets are forwarded to its bridge: only what comes from its own bridge,
 * what answers, and what a published port led there gets in. The wall around an internal network also keeps
 * everything in, published ports of others and the host's own services included. The host itself gets in anywhere.
 *
 * @module
 */
import type { NetworkRecord } from "../state/records.ts";

/** Stands for everybody in a network's `open`: whoever finds a way to it is let in. */
export const EVERYBODY = "*";

/** A network that lets in only what it asked for. */
export interface Wall {
  readonly bridge: string;
  /**
   * What of the bridge is behind the wall: `10.88.1.0/24`. Undefined: all of it. On a bridge that is not ours there
   * may be others than our containers.
   */
  readonly subnets?: readonly string[];
}

/** What one back end has to build. */
export interface Walls {
  /** Names of bridges: packets from the first to the second pass. */
  readonly pairs: readonly (readonly [from: string, to: string])[];
  readonly isolated: readonly Wall[];
  /** Names of bridges that nothing leaves and nothing enters. */
  readonly internal: readonly string[];
}

/** The walls around `mine`, the networks of one back end, among `all` of the host. */
export function wallsOf(all: readonly NetworkRecord[], mine: readonly NetworkRecord[]): Walls {
  const here = new Set(mine.map(({ id }) => id));
  const pairs = all.flatMap((from) =>
    all
      .filter((to) => (here.has(from.id) || here.has(to.id)) && mayReach(from, to))
      .map((to) => [from.bridge, to.bridge] as const),
  );
  return {
    pairs,
    isolated: mine
      .filter(({ internal, open }) => internal !== true && open?.includes(EVERYBODY) !== true)
      .map(({ bridge, ownsBridge, subnets }) => (ownsBridge ? { bridge } : { bridge, subnets })),
    internal: mine.filter(({ internal }) => internal === true).map(({ bridge }) => bridge),
  };
}

/** Whether nothing has to be built. */
export function isNothing({ isolated, internal }: Walls): boolean {
  return isolated.length === 0 && internal.length === 0;
}

/** The networks that something came from and goes to; undefined: from none of ours. */
export interface Crossing {
  readonly from: NetworkRecord | undefined;
  readonly to: NetworkRecord;
}

/** Whether a wall is in the way, as it is for a connection that no published port led here. */
export function isWalled({ from, to }: Crossing): boolean {
  if (from !== undefined && mayReach(from, to)) return false;
  return from?.internal === true || to.internal === true || to.open?.includes(EVERYBODY) !== true;
}

/** Opening counts both ways, whichever of the two says so. */
function mayReach(from: NetworkRecord, to: NetworkRecord): boolean {
  return from.id === to.id || from.open?.includes(to.id) === true || to.open?.includes(from.id) === true;
}
