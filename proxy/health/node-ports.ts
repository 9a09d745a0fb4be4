/**
 * Health-check node ports: a load balancer asks each node on a port of the Service's own whether it has endpoints
 * of it, and how many.
 *
 * @module
 */

import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import { type HttpServer, serveHttp } from "../../lib/sys/http.ts";

/** What is wanted, by service, `namespace/name`. */
export type HealthChecks = ReadonlyMap<string, { readonly port: number; readonly localEndpoints: number }>;

export interface HealthCheckPortsOptions {
  /** Addresses to listen on, `0.0.0.0` for all. */
  readonly addresses: () => readonly string[];
  /** Whether the proxy does its work. */
  readonly healthy: () => boolean;
  readonly log: Log;
  readonly clock: Clock;
  /** A port could not be opened. */
  readonly failed: (service: string, port: number, reason: string) => void;
}

interface Open {
  readonly port: number;
  readonly servers: readonly HttpServer[];
}

const RETRY_MS = 5000;

export class HealthCheckPorts {
  readonly #options: HealthCheckPortsOptions;
  readonly #open = new Map<string, Open>();
  #wanted: HealthChecks = new Map();
  /** The ports that could not be opened, by service: told of once, and tried again. */
  readonly #failed = new Map<string, number>();
  #addresses = "";
  #callOff: () => void = () => {};

  constructor(options: HealthCheckPortsOptions) {
    this.#options = options;
  }

  /** Opens what is wanted and closes what is not any more. Never throws. */
  sync(wanted: HealthChecks): void {
    this.#wanted = wanted;
    const addresses = this.#options.addresses();
    const moved = String(addresses) !== this.#addresses;
    this.#addresses = String(addresses);
    for (const [service, { port, servers }] of this.#open) {
      if (!moved && wanted.get(service)?.port === port) continue;
      for (const server of servers) server.close();
      this.#open.delete(service);
    }
    for (const [service, port] of this.#failed) if (wanted.get(service)?.port !== port) this.#failed.delete(service);
    for (const [service, { port }] of wanted) if (!this.#open.has(service)) this.#openPort(service, port, addresses);
    this.#callOff();
    if (this.#failed.size > 0) this.#callOff = this.#options.clock.after(RETRY_MS, () => this.sync(this.#wanted));
  }

  close(): void {
    this.sync(new Map());
  }

  #openPort(service: string, port: number, addresses: readonly string[]): void {
    const servers: HttpServer[] = [];
    try {
      for (const host of addresses) {
        servers.push(serveHttp({ host, port, answer: () => this.#answer(service) }));
      }
      this.#open.set(service, { port, servers });
      this.#failed.delete(service);
    } catch (error) {
      for (const server of servers) server.close();
      if (this.#failed.has(service)) return;
      this.#failed.set(service, port);
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
