/**
 * Whether this proxy does its work: what /healthz and /livez answer, and what health-check node ports say of it.
 *
 * Healthy means that no change waits for too long. /healthz, which load balancers ask, also wants the node to stay:
 * one that is being drained shall get no new connections. /livez, which kubelet asks, does not, as restarting the
 * proxy of a node that drains would only do harm.
 *
 * @module
 */
import { familyLabel } from "../metrics.ts";
import type { NodeObject } from "../objects/objects.ts";

/** As kube-proxy answers it. Times are RFC 3339. */
export interface HealthAnswer {
  readonly lastUpdated: string;
  readonly currentTime: string;
  /** Of /healthz alone. */
  readonly nodeEligible?: boolean;
  readonly healthy: boolean;
  readonly status: Readonly<Record<string, { readonly lastUpdated: string; readonly healthy: boolean }>>;
}

export interface ProxyHealthOptions {
  /** Ms that a change may wait. */
  readonly timeout: number;
  /** Ms since 1970. */
  readonly now: () => number;
  /** The node as it is now; undefined if there is none. */
  readonly node: () => NodeObject | undefined;
}

interface FamilyHealth {
  updatedAt: number | undefined;
  /** When the oldest change that waits was queued. */
  queuedAt: number | undefined;
}

// What Go prints for a time that was never set.
const NEVER = "0001-01-01T00:00:00Z";

export class ProxyHealth {
  readonly #options: ProxyHealthOptions;
  readonly #families = new Map<4 | 6, FamilyHealth>();

  constructor(options: ProxyHealthOptions) {
    this.#options = options;
  }

  /** A change of this family waits. */
  queued(family: 4 | 6): void {
    const health = this.#of(family);
    health.queuedAt ??= this.#options.now();
  }

  /** All that was queued of this family is in place. */
  updated(family: 4 | 6): void {
    const health = this.#of(family);
    health.updatedAt = this.#options.now();
    health.queuedAt = undefined;
  }

  get healthy(): boolean {
    return [...this.#families.values()].every((family) => this.#isHealthy(family));
  }

  /** The node exists, is not being deleted, and is not about to be taken away. */
  get nodeEligible(): boolean {
    const node = this.#options.node();
    return node !== undefined && !node.deleting && !node.leaving;
  }

  /** What /livez answers. */
  live(): HealthAnswer {
    const { healthy } = this;
    const now = timeOf(this.#options.now());
    const updates = [...this.#families.values()].flatMap(({ updatedAt }) => updatedAt ?? []);
    const last = updates.length === 0 ? NEVER : timeOf(Math.max(...updates));
    return {
      // While all is well it is now, as if a sync had just run: monitors of old take an old time for a stuck proxy.
      lastUpdated: healthy ? now : last,
      currentTime: now,
      healthy,
      status: this.#status(),
    };
  }

  /** What /healthz answers; it passes only if the proxy is healthy and its node eligible. */
  ready(): { readonly passes: boolean; readonly answer: HealthAnswer } {
    const { nodeEligible } = this;
    const answer = this.live();
    const { lastUpdated, currentTime, ...rest } = answer;
    return { passes: answer.healthy && nodeEligible, answer: { lastUpdated, currentTime, nodeEligible, ...rest } };
  }

  #status(): HealthAnswer["status"] {
    const known = [...this.#families].filter(([, { updatedAt }]) => updatedAt !== undefined);
    return Object.fromEntries(
      known.map(([family, health]) => {
        const lastUpdated = timeOf(health.updatedAt ?? 0);
        return [familyLabel(family), { lastUpdated, healthy: this.#isHealthy(health) }];
      }),
    );
  }

  #isHealthy({ queuedAt }: FamilyHealth): boolean {
    return queuedAt === undefined || this.#options.now() - queuedAt < this.#options.timeout;
  }

  #of(family: 4 | 6): FamilyHealth {
    const known = this.#families.get(family);
    if (known !== undefined) return known;
    const fresh = { updatedAt: undefined, queuedAt: undefined };
    this.#families.set(family, fresh);
    return fresh;
  }
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
