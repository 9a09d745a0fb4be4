/**
 * A server that stays: an address that somebody has, or that is not there yet, is tried again until it can be had.
 *
 * @module
 */
import { messageOf, TsnetError } from "../errors.ts";
import { type HttpServer, serveHttp } from "../sys/http.ts";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";

export interface ListenerOptions {
  /** For the log: `health`, `metrics`. */
  readonly what: string;
  /** `host:port`, IPv6 in brackets. */
  readonly address: string;
  readonly answer: (path: string) => Response | Promise<Response>;
  /** Whether failing to listen is fatal. */
  readonly hardFail: boolean;
  readonly log: Log;
  readonly clock: Clock;
}

export interface Listener {
  close(): void;
}

const RETRY_MS = 5000;

/**
 * Listens now, or later.
 *
 * @throws TsnetError `invalid` for an address that is none; with `hardFail` also `conflict` and `io`.
 */
export function openListener(options: ListenerOptions): Listener {
  const { what, address, answer, hardFail, log, clock } = options;
  const { host, port } = splitAddress(address);
  let server: HttpServer | undefined;
  let callOff = () => {};
  let told = false;
  const listen = () => {
    try {
      server = serveHttp({ host, port, answer });
      log.debug(3, `serving ${what}`, { address });
    } catch (error) {
      if (hardFail) throw error;
      if (!told) log.warn(`cannot serve ${what} yet: trying again`, { address, reason: messageOf(error) });
      told = true;
      callOff = clock.after(RETRY_MS, listen);
    }
  };
  listen();
  return {
    close() {
      callOff();
      server?.close();
    },
  };
}

/** `10.0.0.1:80` or `[fd00::1]:80`. @throws TsnetError `invalid`. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain = "0.0.0.0", port = ""] = /^(?:\[(.+)\]|([^:]*)):(\d+)$/.exec(address) ?? [];
  const number = Number(port);
  if (port === "" || number > 65535) {
    throw new TsnetError(`${JSON.stringify(address)} is no address and port, such as 0.0.0.0:10256 or [::]:10256`, {
      code: "invalid",
      op: "listen",
    });
  }
  return { host: bracketed ?? (plain === "" ? "0.0.0.0" : plain), port: number };
}
