/**
 * Takes out of the maps of clients what leads to endpoints that have gone. Clients of the others stay where they are.
 *
 * Nothing new can come in meanwhile: the rules learn only who is still a member.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { addressFromBytes, formatAddress } from "../../lib/net/address.ts";
import { NftElementList } from "../../lib/nft/elementlist.ts";
import { NftBatch } from "../../lib/nft/nftbatch.ts";
import { type NftElementView, readElements, visitElements } from "../../lib/nft/reading.ts";
import type { NfSocket } from "../../lib/sys/nfsocket.ts";
import type { AffinityMap } from "./sticky.ts";

// Others change their rules while the map is read.
const TRIES = 5;
// As many as a transaction can lose by one that has run out meanwhile, before each goes alone.
const TOGETHER = 500;

/** Purges each map; one that is not there is fine. Synchronous: a dump of one map takes the kernel a moment. */
export function purgeAffinity(socket: NfSocket, maps: readonly AffinityMap[]): void {
  for (const affinity of maps) {
    const doomed = strayClients(socket, affinity);
    for (let at = 0; at < doomed.length; at += TOGETHER) remove(socket, affinity, doomed.slice(at, at + TOGETHER));
  }
}

/** Keys of clients whose endpoint is none of those that there are. */
function strayClients(socket: NfSocket, { map, endpoints }: AffinityMap): readonly Buffer[] {
  for (let tries = 1; ; tries++) {
    const doomed: Buffer[] = [];
    try {
      const check = ({ bytes, key, keyLength, value, valueLength }: NftElementView) => {
        const address = formatAddress(addressFromBytes(bytes.subarray(value, value + valueLength)));
        if (!endpoints.has(address)) doomed.push(Buffer.from(bytes.subarray(key, key + keyLength)));
      };
      for (const message of readElements(socket, map)) visitElements(message, check);
    } catch (error) {
      if (isTsnetError(error, "not-found")) return [];
      throw error;
    }
    if (!socket.interrupted || tries === TRIES) return doomed;
  }
}

function remove(socket: NfSocket, affinity: AffinityMap, keys: readonly Buffer[]): void {
  const batch = new NftBatch();
  const list = new NftElementList(batch, "delete", affinity.map);
  for (const key of keys) {
    list.open();
    list.openKey();
    list.writer.raw(key);
    list.closeValue();
    list.close();
  }
  list.flush();
  if (batch.send(socket) === undefined) return;
  // One of them has run out since: it alone must not keep the others.
  if (keys.length > 1) for (const key of keys) remove(socket, affinity, [key]);
}
