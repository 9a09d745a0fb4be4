/**
 * The parts that the helper has, by the names that `GET /status` shows. They are synced in this order.
 *
 * @module
 */
import { namesPart } from "../names/part.ts";
import { portsPart } from "../ports/part.ts";
import type { HelperPart } from "./view.ts";

export function openParts(): ReadonlyMap<string, HelperPart> {
  return new Map<string, HelperPart>([
    ["names", namesPart()],
    ["ports", portsPart()],
  ]);
}
