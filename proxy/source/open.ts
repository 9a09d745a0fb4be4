/**
 * The source that the settings name, and where Kubernetes Events go with it.
 *
 * @module
 */

import type { Log } from "../../lib/daemon/log.ts";
import { type EventRecorder, eventRecorder, noEvents } from "../events.ts";
import type { ProxySettings } from "../settings.ts";
import type { Source } from "./source.ts";

export interface OpenSource {
  readonly source: Source;
  readonly recorder: EventRecorder;
}

/**
 * Loads the code of the one kind of source that is used. Nothing is asked yet.
 *
 * @throws TsnetError for a kubeconfig that cannot be read, or none and no pod to take its place.
 */
export async function openSource(settings: ProxySettings, log: Log): Promise<OpenSource> {
  const { source, nodeName } = settings;
  if (source.kind === "manifests") {
    const { manifestSource } = await import("./manifests.ts");
    const { directory, once } = source;
    return { source: manifestSource({ directory, once, nodeName, log }), recorder: noEvents };
  }
  const { connectKube } = await import("../../lib/kube/client.ts");
  const { kubeSource } = await import("./kube.ts");
  const { kubeconfig, master } = source;
  const client = await connectKube({ kubeconfig, master, userAgent: "kube-proxy/tsnet" });
  return {
    // nftables drops what nobody has of them; iptables does with one rule in common what each cluster IP needs else.
    source: kubeSource({ client, nodeName, log, serviceCIDRs: true }),
    recorder: eventRecorder({ client, nodeName, log, now: Date.now }),
  };
}
