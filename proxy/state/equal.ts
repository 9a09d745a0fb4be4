/**
 * Whether two objects of one service say the same: most updates of a Service are of fields that no proxy reads.
 *
 * @module
 */
import type { ServiceObject, ServicePortObject } from "../objects/objects.ts";

export function sameService(a: ServiceObject, b: ServiceObject): boolean {
  return (
    a.createdAt === b.createdAt &&
    a.healthCheckNodePort === b.healthCheckNodePort &&
    a.internalPolicy === b.internalPolicy &&
    a.externalPolicy === b.externalPolicy &&
    a.affinitySeconds === b.affinitySeconds &&
    sameAll(a.clusterIPs, b.clusterIPs, Object.is) &&
    sameAll(a.externalIPs, b.externalIPs, Object.is) &&
    sameAll(a.loadBalancerIPs, b.loadBalancerIPs, Object.is) &&
    sameAll(a.sourceRanges, b.sourceRanges, Object.is) &&
    sameAll(a.ports, b.ports, samePort)
  );
}

function samePort(a: ServicePortObject, b: ServicePortObject | undefined): boolean {
  return a.name === b?.name && a.protocol === b.protocol && a.port === b.port && a.nodePort === b.nodePort;
}

function sameAll<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T | undefined) => boolean): boolean {
  return a.length === b.length && a.every((each, i) => same(each, b[i]));
}
