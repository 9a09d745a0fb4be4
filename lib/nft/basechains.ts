/**
 * The base chains of everybody, and whether a table is there, by one look at the kernel: starting nft for it costs many
 * times as much.
 *
 * @module
 */

import type { Netns } from "../sys/netns.ts";
import { NfSocket } from "../sys/nfsocket.ts";
import { NFPROTO } from "./constants.ts";
import type { NftBaseChain } from "./nft.ts";
import { type NftBaseChainView, readBaseChains, readTable } from "./reading.ts";
import type { NftFamily, NftHook, NftTableName } from "./specs.ts";

/** Undefined where the kernel does not tell, or tells of something that nft alone has the words for. */
export function baseChainsOf(netns?: Netns): readonly NftBaseChain[] | undefined {
  const socket = new NfSocket(netns);
  try {
    const chains = [...readBaseChains(socket)].map(nameChain);
    const known = chains.filter((chain) => chain !== undefined);
    return socket.interrupted || known.length < chains.length ? undefined : known;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

/** Whether the kernel says that there is no such table; nft is asked where it does not tell. */
export function isAbsent(table: NftTableName, netns?: Netns): boolean {
  const socket = new NfSocket(netns);
  try {
    return readTable(socket, table) === undefined;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}

const FAMILIES: ReadonlyMap<number, NftFamily> = new Map(
  (Object.keys(NFPROTO) as NftFamily[]).map((family) => [NFPROTO[family], family]),
);
const HOOKS: readonly NftHook["hook"][] = ["prerouting", "input", "forward", "output", "postrouting"];
// linux/netfilter.h: NF_DROP, NF_ACCEPT
const POLICIES = ["drop", "accept"] as const;

function nameChain(view: NftBaseChainView): NftBaseChain | undefined {
  const { table, chain, type, priority } = view;
  const family = FAMILIES.get(view.family);
  // The numbers of the others' hooks mean something else.
  if (family === undefined || family === "arp" || family === "netdev") return undefined;
  const hook = HOOKS[view.hook];
  const policy = POLICIES[view.policy ?? -1];
  if (hook === undefined || (type !== "filter" && type !== "nat" && type !== "route")) return undefined;
  return { family, table, chain, hook: { type, hook, priority, ...(policy === undefined ? {} : { policy }) } };
}
