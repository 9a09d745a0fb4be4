/**
 * What builds walls: nftables and each of the two iptables are one.
 *
 * @module
 */
import type { Walls } from "./walls.ts";

export interface Builder {
  /** What of the walls is not in the kernel as it shall be, or undefined. */
  missing(walls: Walls): Promise<string | undefined>;
  /** Makes the kernel hold exactly these walls; changes nothing where it does. */
  build(walls: Walls): Promise<void>;
  /** Removes all walls. Fine where there are none. */
  remove(): Promise<void>;
}
