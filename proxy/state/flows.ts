/**
 * Which UDP flows lose their endpoint or their frontend by a change: nobody ends them, so a client would go on sending
 * to where nobody is.
 *
 * kube-proxy looks at all services whenever the endpoints of a UDP one change. Here it is told from the services
 * that changed, and flows of frontends that are gone or have no endpoint left are among them.
 *
 * @module
 */
import type { Family } from "../../lib/net/address.ts";
import { mayKeepFlows } from "../endpoints.ts";
import { sameEndpoints } from "../table/order.ts";
import type { Endpoint, Frontend, PortRules } from "../table/types.ts";
import type { Entry } from "./entry.ts";
import type { UdpCleanup } from "./pending.ts";
import { mergedEndpoints, portKey } from "./slices.ts";

/**
 * The endpoints whose flows may go on, for each UDP port and family. Policies and topology do not count: a change of
 * them ends no TCP connection either.
 */
export function flowsOf({ object, slices }: Entry, families: readonly Family[]): Entry["flows"] {
  const ports = object?.ports.filter(({ protocol }) => protocol === "udp") ?? [];
  if (object === undefined || ports.length === 0) return undefined;
  const flows = new Map<string, readonly Endpoint[]>();
  for (const family of families) {
    for (const port of ports) {
      const name = port.name === "" ? "" : `:${port.name}`;
      const serving = mergedEndpoints(slices, family, portKey(port)).filter(mayKeepFlows);
      flows.set(flowKey(family, `${object.namespace}/${object.name}${name}`), serving);
    }
  }
  return flows;
}

/** One service in one family at one time. */
export interface FlowState {
  readonly rules: readonly PortRules[] | undefined;
  readonly flows: Entry["flows"];
}

/** @param taken tells whether somebody has a frontend now: its flows are that one's business. */
export function changedFlows(
  family: Family,
  before: FlowState,
  after: FlowState,
  taken: (frontend: Frontend) => boolean,
): readonly UdpCleanup[] {
  const cleanups: UdpCleanup[] = [];
  for (const rules of udpOf(after)) {
    const earlier = udpOf(before).find(({ name }) => name === rules.name);
    const key = flowKey(family, rules.name);
    const serving = after.flows?.get(key) ?? [];
    const same = earlier?.frontends === rules.frontends && sameEndpoints(before.flows?.get(key) ?? [], serving);
    if (!same) cleanups.push({ frontends: placesOf(rules.frontends), serving: placesOf(serving) });
  }
  const gone = udpOf(before).flatMap(({ frontends }) => frontends.filter((frontend) => !taken(frontend)));
  if (gone.length > 0) cleanups.push({ frontends: placesOf(gone), serving: [] });
  return cleanups;
}

function udpOf({ rules }: FlowState): readonly PortRules[] {
  return rules?.filter(({ protocol }) => protocol === "udp") ?? [];
}

function flowKey(family: Family, name: string): string {
  return `${family} ${name}`;
}

function placesOf(places: readonly { readonly address: string; readonly port: number }[]): UdpCleanup["serving"] {
  return places.map(({ address, port }) => ({ address, port }));
}
