/**
 * The parts that the helper has, by the names that `GET /status` shows. They are synced in this order.
 *
 * @module
 */
import type { HelperPart } from "./view.ts";

export function openParts(): ReadonlyMap<string, HelperPart> {
  return new Map<string, HelperPart>([]);
}
