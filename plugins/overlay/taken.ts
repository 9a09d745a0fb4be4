/**
 * Addresses of this host's subnet that host-local gave out on a network of another name.
 *
 * Each network has its own reservations, and flannel's list is usually called cbr0: where ours has another name, the
 * containers that are there would be given their addresses a second time. They are left out for as long as they are
 * reserved there.
 *
 * @module
 */
import { diskStore } from "../../lib/ipam/disk.ts";
import type { Address } from "../../lib/net/address.ts";
import { type Cidr, contains } from "../../lib/net/cidr.ts";
import { namesIn } from "../../lib/sys/files.ts";

/** Taken addresses in `subnets`, of every network in `dataDir` but `network`. */
export function takenBeside(network: string, subnets: readonly Cidr[], dataDir: string): readonly Address[] {
  return namesIn(dataDir).flatMap((other) => {
    if (other === network) return [];
    const view = diskStore(other, dataDir).view();
    const inside = view.reservations().filter(({ address }) => subnets.some((subnet) => contains(subnet, address)));
    const held = inside.filter((each) => view.holderOf(each).kind !== "nobody" && !view.isFromBeforeBoot(each));
    return held.map(({ address }) => address);
  });
}
