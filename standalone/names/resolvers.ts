/**
 * The resolvers of the host: those of its /etc/resolv.conf, read again when it changes.
 *
 * @module
 */
import { readIfThere } from "../../lib/sys/files.ts";
import { stampOf } from "../../lib/sys/watch.ts";

const RESOLV_CONF = "/etc/resolv.conf";
/** Milliseconds between two looks: the file changes when a laptop moves. */
const FRESH = 200;

export class HostResolvers {
  readonly #path: string;
  #stamp: string | undefined;
  #looked = Number.NEGATIVE_INFINITY;
  #servers: readonly string[] = [];

  constructor(path = RESOLV_CONF) {
    this.#path = path;
  }

  /** Their addresses, the first one first; an IPv6 address may have a zone. */
  list(): readonly string[] {
    if (performance.now() - this.#looked < FRESH) return this.#servers;
    this.#looked = performance.now();
    const stamp = stampOf(this.#path);
    if (stamp !== this.#stamp || this.#servers.length === 0) this.#servers = parseResolvers(readIfThere(this.#path));
    this.#stamp = stamp;
    return this.#servers;
  }
}

/** The addresses of a resolv.conf(5); the host itself where it names none. */
export function parseResolvers(text = ""): readonly string[] {
  const found = [...text.matchAll(/^\s*nameserver[ \t]+([0-9a-fA-F.:]+(?:%[\w.-]+)?)/gm)].map(
    ([, address = ""]) => address,
  );
  return found.length === 0 ? ["127.0.0.1"] : found;
}
