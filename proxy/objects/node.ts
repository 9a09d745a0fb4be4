/**
 * A Node as the API has it, cut down to what a proxy uses of its own.
 *
 * @module
 */
import {
  addressText,
  asObject,
  type Fields,
  familyOf,
  inField,
  listIn,
  neededText,
  networkText,
  objectIn,
  textIn,
  usableIn,
} from "./fields.ts";
import type { NodeObject } from "./objects.ts";

const ZONE = "topology.kubernetes.io/zone";
/** The cluster autoscaler is about to take the node away. */
const LEAVING = "ToBeDeletedByClusterAutoscaler";

/** Reads a Node (v1). @throws TsnetError `invalid`, naming the field. */
export function parseNode(raw: unknown): NodeObject {
  const object = asObject(raw);
  const metadata = objectIn(object, "metadata");
  const spec = objectIn(object, "spec");
  const identity = inField("metadata", () => ({
    name: neededText(metadata, "name"),
    zone: inField("labels", () => textIn(objectIn(metadata, "labels"), ZONE)),
    deleting: textIn(metadata, "deletionTimestamp") !== undefined,
  }));
  return {
    ...identity,
    addresses: inField("status", () => parseAddresses(objectIn(object, "status"))),
    podCIDRs: inField("spec", () => parsePodCIDRs(spec)),
    leaving: inField("spec", () => listIn(spec, "taints").some((taint) => asObject(taint).key === LEAVING)),
  };
}

/**
 * The primary address and, if there is one, the first of the other family: internal ones before external ones, as
 * the kubelet chooses the addresses of host-network pods. Host names are passed over.
 */
function parseAddresses(status: Fields): readonly string[] {
  const entries = usableIn(status, "addresses", addressOf, undefined);
  const all = ["InternalIP", "ExternalIP"].flatMap((type) => entries.filter((entry) => entry.type === type));
  const first = all[0]?.address;
  if (first === undefined) return [];
  const other = all.find(({ address }) => familyOf(address) !== familyOf(first));
  return other === undefined ? [first] : [first, other.address];
}

function addressOf(value: unknown): { readonly type: string; readonly address: string } | undefined {
  const entry = asObject(value);
  const type = textIn(entry, "type") ?? "";
  return type === "InternalIP" || type === "ExternalIP" ? { type, address: addressText(entry.address) } : undefined;
}

function parsePodCIDRs(spec: Fields): readonly string[] {
  const all = usableIn(spec, "podCIDRs", networkText, undefined);
  const one = textIn(spec, "podCIDR") ?? "";
  return all.length > 0 || one === "" ? all : [inField("podCIDR", () => networkText(one))];
}
