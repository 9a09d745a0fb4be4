/**
 * Gives up this host's subnet in etcd, for a host that leaves the network.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import type { EtcdClient } from "../../lib/etcd/client.ts";
import { type KeyValue, prefixRange } from "../../lib/etcd/types.ts";
import { type Relation, relationOf } from "../lease/identity.ts";
import { type LeaseRecord, parseLeaseRecord } from "../lease/lease.ts";
import type { Claim } from "../types.ts";

// Behind a NAT, and since it has moved, others know this host by another address than it has.
const OURS: readonly Relation[] = ["own", "moved"];

/** Removes every lease of the host of the claim; a subnet that is reserved for it stays so. @throws as EtcdClient. */
export async function releaseLease(client: EtcdClient, prefix: string, claim: Claim): Promise<void> {
  const { lists } = await client.list([prefixRange(`${prefix}/subnets/`)]);
  for (const entry of lists.flat()) {
    const record = recordOf(entry);
    if (record?.lease === undefined || !OURS.includes(relationOf(record, claim))) continue;
    await client.commit(
      [{ kind: "unchanged", key: entry.key, revision: entry.revision }],
      [{ kind: "delete", key: entry.key }],
    );
  }
}

function recordOf({ key, text }: KeyValue): LeaseRecord | undefined {
  try {
    return parseLeaseRecord(key, text);
  } catch (error) {
    if (isTsnetError(error)) return undefined;
    throw error;
  }
}
