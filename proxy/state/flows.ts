/**
 * Which UDP flows lose their endpoint or their frontend by a change: nobody ends them, so a client would go on sending
 * to where nobody is. A TCP connection is ended by whoever has its other end; where that one is gone for good, a client
 * waits until it gives up, and an administrator may want the flow to be ended, too.
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
import type { FlowCleanup } from "./pending.ts";

/** By rule name, the endpoints whose flows may go on. */
export type Flows = ReadonlyMap<string, readonly Endpoint[]>;

/** Those whose flows are ended by us. */
export type FlowProtocol = "udp" | "tcp";

/**
 * The flows of a service's ports. Policies and topology do not count: a change of them ends no TCP connection either.
 * A TCP flow goes on for as long as its endpoint is there at all.
 */
export function flowsOf(
  key: string,
  ports: readonly ServicePortObject[],
  candidates: (port: ServicePortObject) => readonly Candidate[],
  protocols: readonly FlowProtocol[],
): Flows | undefined {
  const ours = ports.filter(({ protocol }) => protocols.some((one) => one === protocol));
  if (ours.length === 0) return undefined;
  const may = (port: ServicePortObject) => (port.protocol === "udp" ? mayKeepFlows : () => true);
  return new Map(
    ours.map((port) => [port.name === "" ? key : `${key}:${port.name}`, candidates(port).filter(may(port))]),
  );
}

/** One service at one time. */
export interface FlowState {
  readonly rules: readonly PortRules[] | undefined;
  readonly flows: Flows | undefined;
}

/** @param taken tells whether somebody has a UDP frontend now: its flows are that one's business. */
export function changedFlows(
  protocol: FlowProtocol,
  before: FlowState,
  after: FlowState,
  taken: (frontend: Frontend) => boolean,
): readonly FlowCleanup[] {
  const [earlierRules, laterRules] = [rulesOf(before, protocol), rulesOf(after, protocol)];
  const cleanups: FlowCleanup[] = [];
  for (const rules of laterRules) {
    const earlier = earlierRules.find(({ name }) => name === rules.name);
    const serving = after.flows?.get(rules.name) ?? [];
    const kept = before.flows?.get(rules.name) ?? [];
    const same = earlier?.frontends === rules.frontends && sameEndpoints(kept, serving);
    if (!same) cleanups.push({ frontends: placesOf(rules.frontends), serving: placesOf(serving) });
  }
  // Who closes a frontend need not want those to be cut off that have come in by it.
  if (protocol === "tcp") return cleanups;
  const gone = earlierRules.flatMap(({ frontends }) => frontends.filter((frontend) => !taken(frontend)));
  if (gone.length > 0) cleanups.push({ frontends: placesOf(gone), serving: [] });
  return cleanups;
}

function rulesOf({ rules }: FlowState, wanted: FlowProtocol): readonly PortRules[] {
  return rules?.filter(({ protocol }) => protocol === wanted) ?? [];
}

function placesOf(places: readonly { readonly address: string; readonly port: number }[]): FlowCleanup["serving"] {
  return places.map(({ address, port }) => ({ address, port }));
}
