/**
 * One service in one family: from its object and its endpoints to the rules of its ports. Pure but for the question
 * of who has an address that two services claim, which it asks.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { type Candidate, chooseEndpoints, type Uses } from "../endpoints.ts";
import type { ServiceBody, ServicePortObject } from "../objects/objects.ts";
import { frontendsOf } from "./frontends.ts";
import { sameEndpoints, stableOrder } from "./order.ts";
import type { Frontend, PortRules } from "./types.ts";

/** What a plan depends on beside the service itself. */
export interface Surroundings {
  readonly family: Family;
  /** Of the node, in this family. */
  readonly nodeAddresses: readonly string[];
  readonly zone: string | undefined;
  /** The endpoints of a port, one for each address and port, in a fixed order. */
  candidates(port: ServicePortObject): readonly Candidate[];
  /** Whether the service has this frontend, or else another service does. */
  grants(port: ServicePortObject, frontend: Frontend): boolean;
}

/**
 * The rules of a service's ports, in the order of the ports; undefined if there are none. What stayed as it was in
 * `before` is that very object.
 *
 * @param key is `namespace/name` of the service.
 */
export function planService(
  key: string,
  service: ServiceBody,
  before: readonly PortRules[] | undefined,
  surroundings: Surroundings,
): readonly PortRules[] | undefined {
  const planned: PortRules[] = [];
  for (const port of service.ports) {
    const frontends = grantedFrontends(service, port, surroundings);
    if (frontends.length === 0) continue;
    const name = port.name === "" ? key : `${key}:${port.name}`;
    const earlier = before?.find((rules) => rules.name === name && rules.protocol === port.protocol);
    planned.push(planPort(service, port, earlier, frontends, earlier?.name ?? name, surroundings));
  }
  if (planned.length === 0) return undefined;
  // A list that has grown has room to grow on; nearly all of these have one entry.
  return before !== undefined && sameList(planned, before) ? before : planned.slice();
}

function planPort(
  service: ServiceBody,
  port: ServicePortObject,
  earlier: PortRules | undefined,
  frontends: readonly Frontend[],
  name: string,
  surroundings: Surroundings,
): PortRules {
  const chosen = chooseEndpoints(surroundings.candidates(port), usesOf(frontends), surroundings.zone);
  const rules: PortRules = {
    name,
    protocol: port.protocol,
    frontends: earlier !== undefined && sameFrontends(earlier.frontends, frontends) ? earlier.frontends : frontends,
    endpoints: stableOrder(earlier?.endpoints, chosen.cluster),
    local: stableOrder(earlier?.local, chosen.local),
    served: chosen.served,
    affinitySeconds: service.affinitySeconds,
    ...healthCheckOf(service, port),
  };
  return earlier !== undefined && sameRules(earlier, rules) ? earlier : rules;
}

/** One of its ports stands for the service. */
function healthCheckOf({ ports, healthCheckNodePort }: ServiceBody, port: ServicePortObject) {
  return healthCheckNodePort === undefined || port !== ports[0] ? undefined : { healthCheckNodePort };
}

/** A port whose cluster IP another service has is left alone: what its rules would hang on is not its own. */
function grantedFrontends(
  service: ServiceBody,
  port: ServicePortObject,
  { family, nodeAddresses, grants }: Surroundings,
): readonly Frontend[] {
  const frontends = frontendsOf(service, port, family, nodeAddresses);
  const [clusterIP] = frontends;
  if (clusterIP === undefined || !grants(port, clusterIP)) return NO_FRONTENDS;
  if (frontends.length === 1) return frontends;
  return frontends.filter((frontend) => frontend === clusterIP || grants(port, frontend));
}

const NO_FRONTENDS: readonly Frontend[] = [];

/** External clients with policy Local need the Cluster set too: this node and its pods get that one. */
function usesOf(frontends: readonly Frontend[]): Uses {
  return {
    cluster: frontends.some(({ kind, policy }) => kind !== "clusterIP" || policy === "Cluster"),
    local: frontends.some(({ policy }) => policy === "Local"),
  };
}

function sameRules(a: PortRules, b: PortRules): boolean {
  return (
    a.frontends === b.frontends &&
    a.served === b.served &&
    a.affinitySeconds === b.affinitySeconds &&
    a.healthCheckNodePort === b.healthCheckNodePort &&
    sameEndpoints(a.endpoints, b.endpoints) &&
    sameEndpoints(a.local, b.local)
  );
}

function sameFrontends(a: readonly Frontend[], b: readonly Frontend[]): boolean {
  return a.length === b.length && a.every((frontend, i) => sameFrontend(frontend, b[i]));
}

function sameFrontend(a: Frontend, b: Frontend | undefined): boolean {
  return (
    b !== undefined &&
    a.kind === b.kind &&
    a.address === b.address &&
    a.port === b.port &&
    a.policy === b.policy &&
    sameTexts(a.sourceRanges, b.sourceRanges)
  );
}

function sameTexts(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && sameList(a, b));
}

function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((each, i) => each === b[i]);
}
