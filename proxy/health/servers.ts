/**
 * The proxy's two servers: health, for kubelet and load balancers, and metrics.
 *
 * @module
 */

import type { Clock } from "../../lib/daemon/clock.ts";
import { type Listener, type ListenerOptions, openListener } from "../../lib/daemon/listener.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import type { ProxyMode } from "../backend.ts";
import type { EventRecorder } from "../events.ts";
import type { ProxyMetrics } from "../metrics.ts";
import type { ProxySettings } from "../settings.ts";
import { healthAnswers, metricsAnswers } from "./answers.ts";
import type { ProxyHealth } from "./health.ts";

export interface ProxyServersOptions {
  readonly settings: ProxySettings;
  readonly mode: ProxyMode;
  readonly health: ProxyHealth;
  readonly metrics: ProxyMetrics;
  readonly recorder: EventRecorder;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Opens those that have an address.
 *
 * @throws TsnetError `invalid`; with `bindAddressHardFail` `conflict` and `io`.
 */
export function openServers(options: ProxyServersOptions): Listener {
  const { settings, mode, health, metrics, recorder, log, clock } = options;
  const opened: Listener[] = [];
  const open = (listener: Pick<ListenerOptions, "what" | "address" | "answer">, reason: string) => {
    if (listener.address === "") return;
    try {
      opened.push(openListener({ ...listener, hardFail: settings.bindAddressHardFail, log, clock }));
    } catch (error) {
      recorder.record({ type: "Warning", reason, action: "StartKubeProxy", note: messageOf(error) });
      for (const one of opened) one.close();
      throw error;
    }
  };
  const healthAnswer = healthAnswers(health, metrics);
  open(
    { what: "health", address: settings.healthzBindAddress, answer: healthAnswer },
    "FailedToStartProxierHealthcheck",
  );
  // As kube-proxy: the mode that it came to, not the one that it was left to find.
  const configz = { ...settings.configz, mode };
  const answer = metricsAnswers(metrics, mode, configz);
  open({ what: "metrics", address: settings.metricsBindAddress, answer }, "FailedToStartMetricServer");
  return {
    close() {
      for (const one of opened) one.close();
    },
  };
}
