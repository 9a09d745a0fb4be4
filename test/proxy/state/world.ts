/** Objects as the API has them, in short, and a State that takes them. */
import { parseNode } from "../../../proxy/objects/node.ts";
import { parseService } from "../../../proxy/objects/service.ts";
import { parseServiceCidr } from "../../../proxy/objects/servicecidr.ts";
import { parseSlice } from "../../../proxy/objects/slice.ts";
import type { Pending } from "../../../proxy/state/pending.ts";
import { State, type StateOptions } from "../../../proxy/state/state.ts";
import type { Endpoint, PortRules } from "../../../proxy/table/types.ts";

export interface EndpointShort {
  readonly ip: string;
  readonly node?: string;
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  readonly zones?: readonly string[];
  readonly nodes?: readonly string[];
}

/** A raw Service `shop/NAME` at `clusterIP`, port 80. */
export function rawService(
  name: string,
  clusterIP: string,
  spec: object = {},
  more: { status?: object; created?: string } = {},
) {
  return {
    metadata: { namespace: "shop", name, creationTimestamp: more.created },
    spec: { clusterIP, clusterIPs: [clusterIP], ports: [{ port: 80 }], ...spec },
    status: more.status ?? {},
  };
}

/** A raw EndpointSlice `shop/NAME` of `service`, port 8080. */
export function rawSlice(name: string, service: string, endpoints: readonly EndpointShort[], fields: object = {}) {
  return {
    metadata: { namespace: "shop", name, labels: { "kubernetes.io/service-name": service } },
    addressType: endpoints[0]?.ip.includes(":") ? "IPv6" : "IPv4",
    ports: [{ port: 8080 }],
    endpoints: endpoints.map(({ ip, node, ready, serving, terminating, zones, nodes }) => ({
      addresses: [ip],
      conditions: { ready, serving, terminating },
      nodeName: node,
      hints: { forZones: zones?.map((each) => ({ name: each })), forNodes: nodes?.map((each) => ({ name: each })) },
    })),
    ...fields,
  };
}

/** A State of node `here`, with the calls that a test makes. */
export class World {
  readonly warnings: string[] = [];
  readonly malformed: string[] = [];
  changes = 0;
  readonly state: State;

  constructor(options: Partial<StateOptions> = {}) {
    this.state = new State({
      nodeName: "here",
      families: [4, 6],
      log: (level, message) => {
        if (level === "warn") this.warnings.push(message);
      },
      changed: () => {
        this.changes++;
      },
      podCIDRs: (node) => node?.podCIDRs ?? [],
      onMalformed: (kind, key, reason) => this.malformed.push(`${kind} ${key}: ${reason}`),
      startedAt: 0,
      ...options,
    });
  }

  service(name: string, clusterIP: string, spec: object = {}, more: { status?: object; created?: string } = {}): this {
    const object = parseService(rawService(name, clusterIP, spec, more));
    if (object === undefined) this.state.delete("Service", `shop/${name}`);
    else this.state.set("Service", `shop/${name}`, object);
    return this;
  }

  slice(name: string, service: string, endpoints: readonly EndpointShort[], fields: object = {}): this {
    const object = parseSlice(rawSlice(name, service, endpoints, fields));
    if (object === undefined) this.state.delete("EndpointSlice", `shop/${name}`);
    else this.state.set("EndpointSlice", `shop/${name}`, object);
    return this;
  }

  node(fields: { zone?: string; addresses?: readonly string[]; podCIDRs?: readonly string[] }): this {
    const raw = {
      metadata: { name: "here", labels: { "topology.kubernetes.io/zone": fields.zone } },
      spec: { podCIDRs: fields.podCIDRs },
      status: { addresses: fields.addresses?.map((address) => ({ type: "InternalIP", address })) },
    };
    this.state.set("Node", "here", parseNode(raw));
    return this;
  }

  serviceCIDR(...cidrs: readonly string[]): this {
    this.state.set(
      "ServiceCIDR",
      "kubernetes",
      parseServiceCidr({ metadata: { name: "kubernetes" }, spec: { cidrs } }),
    );
    return this;
  }

  /** The rules of a service after a `take`. */
  rules(name: string, family: 4 | 6 = 4): readonly PortRules[] {
    return this.state.take().tables.get(family)?.services.get(`shop/${name}`) ?? [];
  }

  /** `what(change)` for one service and family. */
  changed(pending: Pending, family: 4 | 6 = 4): readonly string[] {
    return [...(pending.changes.get(family)?.keys() ?? [])];
  }
}

/** `address:port`, a local one with `*`. */
export function places(endpoints: readonly Endpoint[] | undefined): readonly string[] {
  return (endpoints ?? []).map(({ address, port, local }) => `${address}:${port}${local ? "*" : ""}`);
}
