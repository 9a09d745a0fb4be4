/**
 * Whether this agent does its work: /healthz for who restarts it, /readyz for who sends containers here, and /metrics.
 *
 * Healthy means that everything has been compared with the kernel lately, so that the loop runs. A source that is away
 * or a subnet that is somebody else's makes no agent unhealthy: another start would not help.
 *
 * @module
 */
import type { Clock } from "../lib/daemon/clock.ts";
import { type Listener, openListener } from "../lib/daemon/listener.ts";
import type { Log } from "../lib/daemon/log.ts";
import type { AgentTrouble } from "../lib/overlay/state.ts";
import { METRICS_TYPE, type OverlayMetrics } from "./metrics.ts";
import type { OverlaySettings } from "./settings.ts";

export interface HealthOptions {
  readonly clock: Clock;
  /** Ms between two comparisons. */
  readonly comparePeriod: number;
  /** What keeps containers from being attached; undefined: nothing. */
  readonly trouble: () => AgentTrouble | undefined;
}

export class Health {
  readonly #options: HealthOptions;
  /** When everything was last compared; at first the start, which is given as much time. */
  #synced: number;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#synced = options.clock.now();
  }

  /** Everything has been compared with the kernel. */
  synced(): void {
    this.#synced = this.#options.clock.now();
  }

  /** What /healthz answers: 200 or 503. */
  alive(): Response {
    const { clock, comparePeriod } = this.#options;
    const age = clock.now() - this.#synced;
    const healthy = age <= PERIODS * comparePeriod + GRACE_MS;
    return json({ healthy, lastSyncAgeSeconds: Math.round(age / 1000) }, healthy);
  }

  /** What /readyz answers: 200 or 503. */
  ready(): Response {
    const trouble = this.#options.trouble();
    return json(trouble === undefined ? { ready: true } : { ready: false, ...trouble }, trouble === undefined);
  }

  get isReady(): boolean {
    return this.#options.trouble() === undefined;
  }
}

// One comparison may come late on a host under load, and a slow one takes its time.
const PERIODS = 3;
const GRACE_MS = 10_000;

export interface ServersOptions {
  readonly settings: Pick<OverlaySettings, "healthzAddress" | "metricsAddress">;
  readonly health: Health;
  readonly metrics: OverlayMetrics;
  readonly log: Log;
  readonly clock: Clock;
}

/** Opens the servers that have an address: one, where both have the same. An address that is taken is tried again. */
export function openServers({ settings, health, metrics, log, clock }: ServersOptions): Listener {
  const answers: Answers = new Map<string, Answer>([
    ["/healthz", () => health.alive()],
    ["/readyz", () => health.ready()],
    ["/metrics", () => scrape(metrics, health)],
  ]);
  const { healthzAddress, metricsAddress } = settings;
  const addresses = new Set([healthzAddress, metricsAddress].filter((address) => address !== ""));
  const opened = [...addresses].map((address) => {
    const paths = [
      ...(address === healthzAddress ? ["/healthz", "/readyz"] : []),
      ...(address === metricsAddress ? ["/metrics"] : []),
    ];
    return openListener({ what: paths.join(", "), address, answer: only(paths, answers), hardFail: false, log, clock });
  });
  return {
    close() {
      for (const one of opened) one.close();
    },
  };
}

type Answer = () => Response | Promise<Response>;
type Answers = ReadonlyMap<string, Answer>;

function only(paths: readonly string[], answers: Answers): (path: string) => Response | Promise<Response> {
  return (path) => {
    const answer = paths.includes(path) ? answers.get(path) : undefined;
    return answer?.() ?? new Response("404 page not found\n", { status: 404, headers: NO_SNIFF });
  };
}

async function scrape(metrics: OverlayMetrics, health: Health): Promise<Response> {
  metrics.ready(health.isReady);
  return new Response(await metrics.text(), { headers: { "Content-Type": METRICS_TYPE, ...NO_SNIFF } });
}

function json(body: unknown, fine: boolean): Response {
  const headers = { "Content-Type": "application/json", ...NO_SNIFF };
  return new Response(JSON.stringify(body), { status: fine ? 200 : 503, headers });
}

const NO_SNIFF = { "X-Content-Type-Options": "nosniff" };
