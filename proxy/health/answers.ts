/**
 * What the proxy's two servers answer: health for kubelet and load balancers, metrics for whoever watches.
 *
 * @module
 */
import type { ProxyMode } from "../backend.ts";
import type { ProxyMetrics } from "../metrics.ts";
import type { ProxySettings } from "../settings.ts";
import type { ProxyHealth } from "./health.ts";

/** :10256 */
export function healthAnswers(health: ProxyHealth, metrics: ProxyMetrics): (path: string) => Response {
  return (path) => {
    if (path === "/healthz") {
      const { passes, answer } = health.ready();
      const status = passes ? 200 : 503;
      metrics.healthz(status);
      return json(answer, status);
    }
    if (path === "/livez") {
      const answer = health.live();
      const status = answer.healthy ? 200 : 503;
      metrics.livez(status);
      return json(answer, status);
    }
    return notFound();
  };
}

/** 127.0.0.1:10249 */
export function metricsAnswers(
  metrics: ProxyMetrics,
  mode: ProxyMode,
  configz: ProxySettings["configz"],
): (path: string) => Promise<Response> {
  return async (path) => {
    if (path === "/metrics") {
      const { body, type } = await metrics.text();
      return new Response(body, { headers: { "Content-Type": type } });
    }
    if (path === "/proxyMode") return text(mode);
    if (path === "/healthz") return text("ok");
    if (path === "/configz") return json({ "kubeproxy.config.k8s.io": configz }, 200);
    return notFound();
  };
}

function json(body: unknown, status: number): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...NO_SNIFF } });
}

function text(body: string): Response {
  return new Response(body, { headers: { "Content-Type": "text/plain; charset=utf-8", ...NO_SNIFF } });
}

function notFound(): Response {
  return new Response("404 page not found\n", { status: 404, headers: NO_SNIFF });
}

const NO_SNIFF = { "X-Content-Type-Options": "nosniff" };
