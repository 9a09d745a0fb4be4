/**
 * Kubernetes Events for what an administrator looks for there: that the proxy started, that a port could not be
 * opened. Few, and never worth a failure: one that cannot be posted is a line in the log.
 *
 * @module
 */

import type { Log } from "../lib/daemon/log.ts";
import { messageOf } from "../lib/errors.ts";
import type { KubeClient } from "../lib/kube/client.ts";

export interface ProxyEvent {
  readonly type: "Normal" | "Warning";
  /** In CamelCase, as those of kube-proxy: `Starting`. */
  readonly reason: string;
  readonly action: string;
  readonly note: string;
  /** What it is about: a Service, `namespace/name`; undefined: the Node. */
  readonly service?: string;
}

export interface EventRecorder {
  record(event: ProxyEvent): void;
}

/** Where there is no API server. */
export const noEvents: EventRecorder = { record() {} };

export interface EventRecorderOptions {
  readonly client: Pick<KubeClient, "request">;
  readonly nodeName: string;
  readonly log: Log;
  /** Ms since 1970. */
  readonly now: () => number;
}

// As many at once, and then one each minute: a fault that comes again and again is in the metrics.
const BURST = 10;
const REFILL_MS = 60_000;
// What the API server takes.
const NOTE_LENGTH = 1024;

/** Posts events in the background, as many as the API server can be asked to bear. */
export function eventRecorder({ client, nodeName, log, now }: EventRecorderOptions): EventRecorder {
  let tokens = BURST;
  let refilledAt = now();
  return {
    record(event) {
      tokens = Math.min(BURST, tokens + (now() - refilledAt) / REFILL_MS);
      refilledAt = now();
      if (tokens < 1) return;
      tokens--;
      const body = bodyOf(event, nodeName, now());
      const path = `/apis/events.k8s.io/v1/namespaces/${body.metadata.namespace}/events`;
      client.request("POST", path, { body }).catch((error: unknown) => {
        log.debug(2, "cannot post an Event", { reason: event.reason, error: messageOf(error) });
      });
    },
  };
}

function bodyOf({ type, reason, action, note, service }: ProxyEvent, nodeName: string, now: number) {
  const [namespace = "default", name = nodeName] = service === undefined ? [] : service.split("/");
  const regarding =
    service === undefined
      ? { apiVersion: "v1", kind: "Node", name: nodeName }
      : { apiVersion: "v1", kind: "Service", namespace, name };
  return {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { namespace, name: `${name}.${Math.floor(now * 1e6).toString(16)}` },
    // Six digits after the point: metav1.MicroTime.
    eventTime: new Date(now).toISOString().replace("Z", "000Z"),
    reportingController: "kube-proxy",
    reportingInstance: `kube-proxy-${nodeName}`,
    type,
    reason,
    action,
    note: note.slice(0, NOTE_LENGTH),
    regarding,
  };
}
