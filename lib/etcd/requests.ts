/**
 * Our terms as etcd3's requests, and its keys as ours.
 *
 * @module
 */
import {
  CompareResult,
  CompareTarget,
  type ICompare,
  type IKeyValue,
  type IRangeRequest,
  type IRequestOp,
} from "etcd3";
import type { Condition, KeyRange, KeyValue, Operation } from "./types.ts";

export function rangeOf({ key, end }: KeyRange): Pick<IRangeRequest, "key" | "range_end"> {
  return { key: Buffer.from(key), ...(end === undefined ? {} : { range_end: Buffer.from(end) }) };
}

export function entryOf(kv: IKeyValue): KeyValue {
  return { key: kv.key.toString(), text: kv.value.toString(), revision: Number(kv.mod_revision), lease: kv.lease };
}

export function requestOf(operation: Operation): IRequestOp {
  const key = Buffer.from(operation.key);
  if (operation.kind === "delete") return { request_delete_range: { key } };
  return { request_put: { key, value: Buffer.from(operation.text), lease: operation.lease } };
}

/** Over a range a comparison holds if it does for each key that is there, or for a key that never was. */
export function compareOf(condition: Condition): ICompare {
  switch (condition.kind) {
    case "unchanged":
      return revisionOf({ key: condition.key }, CompareResult.Equal, condition.revision);
    case "absent":
      return { ...rangeOf(condition.range), target: CompareTarget.Version, result: CompareResult.Equal, version: 0 };
    case "untouched":
      return revisionOf(condition.range, CompareResult.Less, condition.revision + 1);
  }
}

function revisionOf(range: KeyRange, result: CompareResult, revision: number): ICompare {
  return { ...rangeOf(range), target: CompareTarget.Mod, result, mod_revision: revision };
}
