/**
 * A ServiceCIDR as the API has it: a range that service addresses are taken from.
 *
 * @module
 */
import { asObject, entriesIn, inField, neededText, networkText, objectIn } from "./fields.ts";
import type { ServiceCidrObject } from "./objects.ts";

/** Reads a ServiceCIDR (networking.k8s.io/v1). @throws TsnetError `invalid`, naming the field. */
export function parseServiceCidr(raw: unknown): ServiceCidrObject {
  const object = asObject(raw);
  return {
    name: inField("metadata", () => neededText(objectIn(object, "metadata"), "name")),
    cidrs: inField("spec", () => entriesIn(objectIn(object, "spec"), "cidrs", networkText)),
  };
}
