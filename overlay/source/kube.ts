/**
 * Kubernetes as the source of peers: its Nodes, their podCIDRs and flannel's annotations; the network config is a file
 * that a ConfigMap mounts.
 *
 * Nodes are read as soon as the network is known, and cut down to what is used right after each was parsed: with its
 * images and conditions a Node has tens of kilobytes.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { Backoff, pause } from "../../lib/daemon/backoff.ts";
import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import { connectKube, type KubeClient } from "../../lib/kube/client.ts";
import { isApiError } from "../../lib/kube/error.ts";
import type { Resource } from "../../lib/kube/feed.ts";
import { REFLECTOR_TIMES, type ReflectorTimes, reflect } from "../../lib/kube/reflector.ts";
import { SharedServer } from "../../lib/kube/shared.ts";
import { formatAddress } from "../../lib/net/address.ts";
import { parseNetworkConfig } from "../config/network.ts";
import { valuesOf } from "../parts.ts";
import type { KubeSettings } from "../settings.ts";
import type { Claim, NetworkConfig } from "../types.ts";
import { NodeClaim, releaseNode } from "./kubeclaim.ts";
import { readNode } from "./kubenode.ts";
import { NodeReceiver } from "./kubereceiver.ts";
import { pathOfNode } from "./kubewriter.ts";
import type { Source, SourceEvents } from "./source.ts";
import { WatchedFile } from "./watchedfile.ts";

export interface KubeSourceTools {
  readonly log: Log;
  readonly clock: Clock;
  readonly times?: ReflectorTimes;
}

/** Reads Nodes, and writes on the one of `nodeName`. Needs to get, list and watch nodes and to patch nodes/status. */
export function kubeSource(settings: KubeSettings & { readonly nodeName: string }, tools: KubeSourceTools): Source {
  return new KubeSource(settings, tools);
}

const NODES: Resource = { name: "nodes", path: "/api/v1/nodes" };

class KubeSource implements Source {
  readonly name = "the Kubernetes API";
  readonly #settings: KubeSettings & { readonly nodeName: string };
  readonly #tools: KubeSourceTools;
  readonly #abort = new AbortController();
  /** Aborted when this host's addresses have changed. */
  #moved = new AbortController();
  /** Of the last claim. */
  #addresses: string | undefined;
  #events: SourceEvents | undefined;
  #file: WatchedFile | undefined;
  #network: NetworkConfig | undefined;
  #unusable = false;
  #claims: NodeClaim | undefined;
  #running: Promise<void> | undefined;

  constructor(settings: KubeSettings & { readonly nodeName: string }, tools: KubeSourceTools) {
    this.#settings = settings;
    this.#tools = tools;
  }

  start(events: SourceEvents): void {
    const { nodeName, annotationPrefix: prefix, setNetworkUnavailable, netConfPath } = this.#settings;
    const { log, clock } = this.#tools;
    const { signal } = this.#abort;
    this.#events = events;
    const own = events.own.bind(events);
    this.#claims = new NodeClaim({ nodeName, prefix, setNetworkUnavailable, log, clock, signal, own });
    this.#file = new WatchedFile({
      ...{ path: netConfPath, clock },
      take: (text) => this.#takeNetwork(text, events),
      trouble: (reason) => this.#fileTrouble(reason),
    });
    queueMicrotask(() => this.#file?.start());
  }

  claim(claim: Claim): void {
    const addresses = valuesOf(claim.parts)
      .map(({ address }) => formatAddress(address))
      .join();
    // Connections of an address that this host has no more lead nowhere, and it takes minutes to notice that by itself.
    if (this.#addresses !== undefined && this.#addresses !== addresses) {
      this.#moved.abort();
      this.#moved = new AbortController();
      this.#claims?.forget();
    }
    this.#addresses = addresses;
    this.#claims?.claim(claim);
  }

  ready(ready: boolean): void {
    this.#claims?.ready(ready);
  }

  async stop(): Promise<void> {
    this.#file?.close();
    this.#file = undefined;
    this.#abort.abort();
    await this.#running;
  }

  /** The Node is this host's whatever stands on it. */
  async release(): Promise<void> {
    const { nodeName, annotationPrefix } = this.#settings;
    this.#claims?.claim(undefined);
    this.#claims?.ready(undefined);
    const client = await connectKube(this.#settings);
    try {
      const node = readNode(await client.request("GET", pathOfNode(nodeName)), annotationPrefix);
      if (node !== undefined) await releaseNode(client, node, annotationPrefix);
    } catch (error) {
      if (!isApiError(error, 404)) throw error;
    }
  }

  #takeNetwork(text: string, events: SourceEvents): void {
    const { netConfPath } = this.#settings;
    try {
      const warn = (problem: string) => this.#tools.log.warn(problem);
      const network = parseNetworkConfig(text, netConfPath, { assigned: true, warn });
      if (this.#unusable) events.gone(netConfPath);
      this.#unusable = false;
      if (!isDeepStrictEqual(network, this.#network)) events.network(network);
      this.#network = network;
      this.#running ??= this.#run(events);
    } catch (error) {
      this.#unusable = true;
      events.malformed(netConfPath, messageOf(error));
    }
  }

  #fileTrouble(reason: string | undefined): void {
    if (reason === undefined) return;
    if (this.#network === undefined) this.#events?.connection(false, reason);
    else this.#tools.log.warn("the network config cannot be read: what it said before holds on", { reason });
  }

  async #run(events: SourceEvents): Promise<void> {
    const { signal } = this.#abort;
    const times = this.#tools.times ?? REFLECTOR_TIMES;
    const failures = new Backoff(times.backoff);
    let client: KubeClient | undefined;
    const receiver = new NodeReceiver({
      ...{ events, nodeName: this.#settings.nodeName, prefix: this.#settings.annotationPrefix },
      seen: (node, leases) => {
        if (this.#network === undefined || client === undefined) return;
        this.#claims?.see({ client, node, networks: this.#network.networks, leases });
      },
    });
    while (!signal.aborted) {
      const either = AbortSignal.any([signal, this.#moved.signal]);
      client = await this.#connect(events, failures);
      if (client === undefined) return;
      await reflect({ client, resource: NODES, receiver, shared: new SharedServer(), times }, either);
    }
  }

  /** Files of a kubeconfig or a service account may be there only later. */
  async #connect(events: SourceEvents, failures: Backoff): Promise<KubeClient | undefined> {
    const { kubeconfig, master } = this.#settings;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        return await connectKube({ kubeconfig, master, userAgent: "tsnet-overlay" });
      } catch (error) {
        events.connection(false, messageOf(error));
        await pause(failures.next(), signal);
      }
    }
    return undefined;
  }
}
