/**
 * Services as they are kept.
 *
 * @module
 */
import type { ServiceBody, ServiceObject, ServicePortObject } from "../objects/objects.ts";
import { Pool } from "./intern.ts";

/** Makes {@link ServiceBody}s; equal parts of them are shared. */
export class ServiceKeeper {
  readonly #ports = new Pool<readonly ServicePortObject[]>();

  /** `service` as it is kept: `earlier` itself if it says the same, as most updates are of fields that no proxy reads. */
  keep(service: ServiceObject, earlier: ServiceBody | undefined): ServiceBody {
    if (earlier !== undefined && sameService(earlier, service)) return earlier;
    return {
      createdAt: service.createdAt,
      clusterIPs: service.clusterIPs,
      ports: this.#shared(service.ports),
      externalIPs: service.externalIPs,
      loadBalancerIPs: service.loadBalancerIPs,
      sourceRanges: service.sourceRanges,
      healthCheckNodePort: service.healthCheckNodePort,
      internalPolicy: service.internalPolicy,
      externalPolicy: service.externalPolicy,
      affinitySeconds: service.affinitySeconds,
    };
  }

  /** Node ports are nobody else's. */
  #shared(ports: readonly ServicePortObject[]): readonly ServicePortObject[] {
    if (ports.some(({ nodePort }) => nodePort !== undefined)) return ports;
    return this.#ports.of(ports.map(({ name, protocol, port }) => `${name}/${protocol}/${port}`).join(" "), ports);
  }
}

function sameService(a: ServiceBody, b: ServiceBody): boolean {
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
