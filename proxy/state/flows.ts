/**
 * Which UDP flows lose their endpoint or their frontend by a change: nobody ends them, so a client would go on sending
 * to where nobody is.
 *
 * kube-proxy looks at all services whenever the endpoints of a UDP one change. Here it is told from the services
 * that changed, and flows of frontends that are gone or have no endpoint left are among them.
 *
 * @module
 */
import { type Candidate, mayKeepFlows } from "../endpoints.ts";
import type { ServicePortObject } from "../objects/objects.ts";
import { sameEndpoints } from "../table/order.ts";
import type { Endpoint, Frontend, PortRules } from "../table/types.ts";
import type { UdpCleanup } from "./pending.ts";

/** By rule name, the endpoints whose flows may go on. */
export type Flows = ReadonlyMap<string, readonly Endpoint[]>;

/**
 * The flows of a service's UDP ports. Policies and topology do not count: a change of them ends no TCP connection
 * either.
 */
export function flowsOf(
  key: string,
  ports: readonly ServicePortObject[],
  candidates: (port: ServicePortObject) => readonly Candidate[],
): Flows | undefined {
  const udp = ports.filter(({ protocol }) => protocol === "udp");
  if (udp.length === 0) return undefined;
  return new Map(
    udp.map((port) => [port.name === "" ? key : `${key}:${port.name}`, candidates(port).filter(mayKeepFlows)]),
  );
}

/** One service at one time. */
export interface FlowState {
  readonly rules: readonly PortRules[] | undefined;
  readonly flows: Flows | undefined;
}

/** @param taken tells whether somebody has a frontend now: its flows are that one's business. */
export function changedFlows(
  before: FlowState,
  after: FlowState,
  taken: (frontend: Frontend) => boolean,
): readonly UdpCleanup[] {
  const cleanups: UdpCleanup[] = [];
  for (const rules of udpOf(after)) {
    const earlier = udpOf(before).find(({ name }) => name === rules.name);
    const serving = after.flows?.get(rules.name) ?? [];
    const kept = before.flows?.get(rules.name) ?? [];
    const same = earlier?.frontends === rules.frontends && sameEndpoints(kept, serving);
    if (!same) cleanups.push({ frontends: placesOf(rules.frontends), serving: placesOf(serving) });
  }
  const gone = udpOf(before).flatMap(({ frontends }) => frontends.filter((frontend) => !taken(frontend)));
  if (gone.length > 0) cleanups.push({ frontends: placesOf(gone), serving: [] });
  return cleanups;
}

function udpOf({ rules }: FlowState): readonly PortRules[] {
  return rules?.filter(({ protocol }) => protocol === "udp") ?? [];
}

function placesOf(places: readonly { readonly address: string; readonly port: number }[]): UdpCleanup["serving"] {
  return places.map(({ address, port }) => ({ address, port }));
}
