/**
 * The Kubernetes API server as a source: four reflectors, of Services, EndpointSlices, ServiceCIDRs and our Node.
 *
 * Each object is cut down to what is programmed right after it was parsed, before the next one is.
 *
 * @module
 */

import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import type { KubeClient } from "../../lib/kube/client.ts";
import type { Receiver, Resource } from "../../lib/kube/feed.ts";
import { fieldsOf, textOf } from "../../lib/kube/fields.ts";
import { type ReflectorTimes, reflect } from "../../lib/kube/reflector.ts";
import { SharedServer } from "../../lib/kube/shared.ts";
import { parseNode } from "../objects/node.ts";
import { parseService } from "../objects/service.ts";
import { parseServiceCidr } from "../objects/servicecidr.ts";
import { parseSlice } from "../objects/slice.ts";
import type { Kind, ObjectOf, Sink, Source } from "./source.ts";

export interface KubeSourceOptions {
  readonly client: KubeClient;
  /** Of the Node that we run on. */
  readonly nodeName: string;
  readonly log: Log;
  /** Whether ServiceCIDRs are wanted. */
  readonly serviceCIDRs: boolean;
  readonly times?: ReflectorTimes;
}

/** Delivers what the API server has, and goes on through whatever happens to it. */
export function kubeSource(options: KubeSourceOptions): Source {
  const abort = new AbortController();
  let running: readonly Promise<void>[] = [];
  return {
    start(sink) {
      const shared = new SharedServer();
      const one = <K extends Kind>(kind: K, resource: Resource, parse: Parse<K>) => {
        const receiver = new KindReceiver(kind, parse, sink, options.log);
        const { client, times } = options;
        return reflect({ client, resource, receiver, shared, ...(times && { times }) }, abort.signal);
      };
      running = [
        one("Service", SERVICES, parseService),
        one("EndpointSlice", SLICES, parseSlice),
        one("Node", nodeNamed(options.nodeName), parseNode),
        ...(options.serviceCIDRs ? [one("ServiceCIDR", SERVICE_CIDRS, parseServiceCidr)] : []),
      ];
      if (!options.serviceCIDRs) sink.synced("ServiceCIDR");
    },
    async stop() {
      abort.abort();
      await Promise.all(running);
    },
  };
}

const SERVICES: Resource = {
  name: "services",
  path: "/api/v1/services",
  labelSelector: "!service.kubernetes.io/service-proxy-name",
  fieldSelector: "spec.clusterIP!=None",
};

const SLICES: Resource = {
  name: "endpointslices.discovery.k8s.io",
  path: "/apis/discovery.k8s.io/v1/endpointslices",
  labelSelector: "!service.kubernetes.io/headless",
};

/** Servers before 1.33 have none. */
const SERVICE_CIDRS: Resource = {
  name: "servicecidrs.networking.k8s.io",
  path: "/apis/networking.k8s.io/v1/servicecidrs",
  optional: true,
};

function nodeNamed(name: string): Resource {
  return { name: "nodes", path: "/api/v1/nodes", fieldSelector: `metadata.name=${name}` };
}

type Parse<K extends Kind> = (raw: unknown, problems?: (text: string) => void) => ObjectOf[K] | undefined;

class KindReceiver<K extends Kind> implements Receiver {
  readonly #kind: K;
  readonly #parse: Parse<K>;
  readonly #sink: Sink;
  readonly #log: Log;
  /** While a list is read: what was there before and has not been told of. */
  #unseen: Set<string> | undefined;
  #synced = false;

  constructor(kind: K, parse: Parse<K>, sink: Sink, log: Log) {
    this.#kind = kind;
    this.#parse = parse;
    this.#sink = sink;
    this.#log = log;
  }

  listing(): void {
    this.#unseen = new Set(this.#sink.keys(this.#kind));
  }

  object(raw: unknown): void {
    const key = keyOf(raw);
    if (key === undefined) this.#nameless();
    else this.#set(key, raw);
  }

  deleted(raw: unknown): void {
    const key = keyOf(raw);
    if (key === undefined) this.#nameless();
    else this.#sink.delete(this.#kind, key);
  }

  malformed(text: string, reason: string): void {
    const key = guessKey(text);
    this.#unseen?.delete(key);
    this.#sink.malformed(this.#kind, key, reason);
  }

  listed(): void {
    for (const key of this.#unseen ?? []) this.#sink.delete(this.#kind, key);
    this.#unseen = undefined;
    if (!this.#synced) this.#sink.synced(this.#kind);
    this.#synced = true;
  }

  connection(state: "up" | "down", reason?: string): void {
    this.#sink.connection(this.#kind, state, reason);
  }

  #set(key: string, raw: unknown): void {
    this.#unseen?.delete(key);
    try {
      const object = this.#parse(raw, (text) => this.#problem(key, text));
      if (object === undefined) this.#sink.delete(this.#kind, key);
      else this.#sink.set(this.#kind, key, object);
    } catch (error) {
      this.#sink.malformed(this.#kind, key, messageOf(error));
    }
  }

  #nameless(): void {
    this.#sink.malformed(this.#kind, "", "metadata.name is missing");
  }

  #problem(key: string, text: string): void {
    this.#log.warn(`${this.#kind} ${key} has an entry that is left out`, { problem: text });
  }
}

function keyOf(raw: unknown): string | undefined {
  const metadata = fieldsOf(fieldsOf(raw).metadata);
  const name = textOf(metadata.name);
  const namespace = textOf(metadata.namespace);
  return name === undefined || namespace === undefined ? name : `${namespace}/${name}`;
}

/** Of text that cannot be parsed, for whoever has to find the object. */
function guessKey(text: string): string {
  const name = /"name":\s*"([^"\\]*)"/.exec(text)?.[1];
  const namespace = /"namespace":\s*"([^"\\]*)"/.exec(text)?.[1];
  return [namespace, name].filter((part) => part !== undefined).join("/");
}
