/**
 * What a load balancer is told about a service on this node.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import type { Entry } from "./entry.ts";
import type { HealthCheck } from "./pending.ts";
import { mergedEndpoints, portKey } from "./slices.ts";

/** Undefined if the service has no health-check node port. */
export function healthCheckOf({ object, slices }: Entry, families: readonly Family[]): HealthCheck | undefined {
  const port = object?.healthCheckNodePort;
  if (object === undefined || port === undefined) return undefined;
  // A pod of two families is one endpoint, so the families are not added up.
  const counts = families.map((family) => {
    const all = object.ports.flatMap((each) => mergedEndpoints(slices, family, portKey(each)));
    return new Set(all.filter(({ local, standing }) => local && standing.ready).map(({ address }) => address)).size;
  });
  return { port, localEndpoints: Math.max(0, ...counts) };
}
