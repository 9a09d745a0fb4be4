/**
 * Health-check node ports: a load balancer asks each node on a port of the Service's own whether it has endpoints
 * of it, and how many.
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import { type HttpServer, serveHttp } from "../../lib/sys/http.ts";
import type { Log } from "../log.ts";

/** What is wanted, by service, `namespace/name`. */
export type HealthChecks = ReadonlyMap<string, { readonly port: number; readonly localEndpoints: number }>;

export interface HealthCheckPortsOptions {
  /** Addresses to listen on, `0.0.0.0` for all. */
  readonly addresses: () => readonly string[];
  /** Whether the proxy does its work. */
  readonly healthy: () => boolean;
  readonly log: Log;
  /** A port could not be opened. */
  readonly failed: (service: string, port: number, reason: string) => void;
}

interface Open {
  readonly port: number;
  readonly servers: readonly HttpServer[];
}

export class HealthCheckPorts {
  readonly #options: HealthCheckPortsOptions;
  readonly #open = new Map<string, Open>();
  #wanted: HealthChecks = new Map();
  /** So that one that cannot be opened is told of once. */
  readonly #failed = new Set<string>();

  constructor(options: HealthCheckPortsOptions) {
    this.#options = options;
  }

  /** Opens what is wanted and closes what is not any more. Never throws. */
  sync(wanted: HealthChecks): void {
    this.#wanted = wanted;
    for (const [service, { port, servers }] of this.#open) {
      if (wanted.get(service)?.port === port) continue;
      for (const server of servers) server.close();
      this.#open.delete(service);
    }
    for (const [service, { port }] of wanted) if (!this.#open.has(service)) this.#openPort(service, port);
  }

  /** Tries again to open what could not be opened. */
  retry(): void {
    this.sync(this.#wanted);
  }

  close(): void {
    this.sync(new Map());
  }

  #openPort(service: string, port: number): void {
    const servers: HttpServer[] = [];
    try {
      for (const host of this.#options.addresses()) {
        servers.push(serveHttp({ host, port, answer: () => this.#answer(service) }));
      }
      this.#open.set(service, { port, servers });
      this.#failed.delete(`${service} ${port}`);
    } catch (error) {
      for (const server of servers) server.close();
      if (this.#failed.has(`${service} ${port}`)) return;
      this.#failed.add(`${service} ${port}`);
      this.#options.log.error("cannot open a health-check node port", { service, port, reason: messageOf(error) });
      this.#options.failed(service, port, messageOf(error));
    }
  }

  #answer(service: string): Response {
    const localEndpoints = this.#wanted.get(service)?.localEndpoints ?? 0;
    const serviceProxyHealthy = this.#options.healthy();
    const [namespace, name] = service.split("/");
    const body = { service: { namespace, name }, localEndpoints, serviceProxyHealthy };
    return new Response(JSON.stringify(body, undefined, "\t"), {
      status: localEndpoints > 0 && serviceProxyHealthy ? 200 : 503,
      headers: {
        "Content-Type": "application/json",
        "X-Content-Type-Options": "nosniff",
        "X-Load-Balancing-Endpoint-Weight": String(localEndpoints),
      },
    });
  }
}
