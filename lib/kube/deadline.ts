/**
 * Ends one request when it is late, or when its caller has no use for it any more.
 *
 * A connection whose other end is gone says nothing for hours: time alone tells.
 *
 * @module
 */
import { messageOf, TsnetError } from "../errors.ts";

export class Deadline {
  readonly #op: string;
  readonly #caller: AbortSignal | undefined;
  readonly #abort = new AbortController();
  readonly #onCaller = () => this.#abort.abort();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #late: number | undefined;

  /** @param op names the request in errors. */
  constructor(op: string, caller: AbortSignal | undefined) {
    this.#op = op;
    this.#caller = caller;
    if (caller?.aborted) this.#abort.abort();
    caller?.addEventListener("abort", this.#onCaller);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** What comes next has to come in so many ms. */
  within(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#late = ms;
      this.#abort.abort();
    }, ms);
  }

  /** To be called in any case: it also ends an answer that was not read to its end. */
  done(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#onCaller);
    this.#abort.abort();
  }

  /** Waits for what comes from `server`. */
  async reaching<T>(server: string, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (cause) {
      const late = this.#late;
      if (late === undefined) {
        throw new TsnetError(`cannot reach ${server}: ${reasonOf(cause)}`, { code: "io", op: this.#op, cause });
      }
      const message = `nothing came from ${server} for ${late / 1000} s (${this.#op})`;
      throw new TsnetError(message, { code: "timeout", op: this.#op, cause });
    }
  }
}

/** By the codes of node:net and OpenSSL; the runtime's own messages ask whether the computer has a network. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ENOTFOUND: "there is no such host name",
  CERT_HAS_EXPIRED: "its certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name (see tls-server-name)",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is not signed by the certificate-authority",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is not signed by the certificate-authority",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is not signed by the certificate-authority",
};

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return REASONS[code] ?? messageOf(cause);
}
