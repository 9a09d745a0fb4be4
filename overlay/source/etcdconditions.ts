/**
 * The conditions under which a host's lease is written: that everything is as it was when the subnet was chosen, as far
 * as it has to do with it. More would make a thousand hosts that start at once wait for each other.
 *
 * @module
 */
import { type Condition, prefixRange } from "../../lib/etcd/types.ts";
import type { Cidr } from "../../lib/net/cidr.ts";
import { isPaired } from "../lease/choose.ts";
import { subnetKey } from "../lease/key.ts";
import type { Parts } from "../types.ts";
import type { EtcdRecord, EtcdRecords } from "./etcdrecords.ts";

export interface Writing {
  readonly key: string;
  /** The key as it stands there, ours. */
  readonly there: EtcdRecord | undefined;
  readonly superfluous: readonly EtcdRecord[];
  readonly subnets: Parts<Cidr>;
  readonly records: EtcdRecords;
}

export function conditionsFor({ key, there, superfluous, subnets, records }: Writing): readonly Condition[] {
  const kept = [there, ...superfluous].filter((one) => one !== undefined);
  const unchanged = kept.map((one): Condition => ({ kind: "unchanged", key: one.key, revision: one.revision }));
  if (there !== undefined) return unchanged;
  return [...unchanged, ...claims({ key, subnets, records, superfluous })];
}

/** That nobody has the subnets. */
function claims({ key, subnets, records, superfluous }: Omit<Writing, "there">): readonly Condition[] {
  const absent: Condition = { kind: "absent", range: { key } };
  const { config, revision } = records;
  if (config !== undefined && !isPaired(subnets, config)) {
    return [absent, { kind: "untouched", range: prefixRange(records.keyOf("")), revision }];
  }
  // Under another key somebody may have the same subnet of IPv4 with another one of IPv6; ours from before does not count.
  const four = subnets[4];
  if (four === undefined) return [absent];
  const alone = records.keyOf(subnetKey({ 4: four }));
  if (superfluous.some((one) => one.key.startsWith(alone))) return [absent];
  return [
    { kind: "absent", range: { key: alone } },
    { kind: "absent", range: prefixRange(`${alone}&`) },
  ];
}
