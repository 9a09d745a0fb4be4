/**
 * Writes on this host's own Node, and paces it: something new at once, what failed later and later, and so what does
 * not stay there, since two agents that believe to be the same Node would otherwise write for ever.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { Backoff } from "../../lib/daemon/backoff.ts";
import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import type { KubeClient } from "../../lib/kube/client.ts";
import { isApiError } from "../../lib/kube/error.ts";

export interface NodeWriterOptions {
  readonly nodeName: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** It is time to look again whether something is to be written. */
  readonly due: () => void;
  /** We may not write. */
  readonly denied: (reason: string) => void;
}

/** ms between two writes of the same, which somebody else undoes. */
const REWRITE = { firstMs: 1000, maxMs: 60_000 };
const RETRY = { firstMs: 200, maxMs: 30_000 };
/** ms for one write. Short, since a connection of the address that this host had before leads nowhere. */
const WRITE_MS = 3000;
/** ms after which it is forgotten how often that was. */
const FORGOTTEN_MS = 300_000;

export class NodeWriter {
  readonly #options: NodeWriterOptions;
  readonly #retries = new Backoff(RETRY);
  readonly #rewrites = new Backoff(REWRITE);
  #last:
    | { readonly patch: object; readonly done: boolean; readonly at: number; readonly notBefore: number }
    | undefined;
  #writing = false;
  #callOff = () => {};
  #complaint = "";

  constructor(options: NodeWriterOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => this.#callOff());
  }

  /** Nothing is to be written. */
  rest(): void {
    this.#callOff();
  }

  /** This is to be written: now, or when `due` asks for it again. */
  write(patch: object, client: KubeClient): void {
    this.#callOff();
    if (this.#writing) return;
    const { clock, log, due } = this.#options;
    const now = clock.now();
    const last = this.#last;
    const again = last !== undefined && isDeepStrictEqual(untimed(patch), untimed(last.patch));
    if (again && last.notBefore > now) {
      this.#callOff = clock.after(last.notBefore - now, due);
      return;
    }
    if (!again || now - last.at > FORGOTTEN_MS) this.#rewrites.reset();
    else if (last.done) log.warn("what this host writes on its Node does not stay there: writing it again");
    this.#writing = true;
    void this.#send(patch, client).finally(() => {
      this.#writing = false;
      due();
    });
  }

  async #send(patch: object, client: KubeClient): Promise<void> {
    const { nodeName, signal, clock } = this.#options;
    const at = clock.now();
    try {
      await patchNode(client, nodeName, patch, signal);
      this.#retries.reset();
      this.#complaint = "";
      this.#last = { patch, done: true, at, notBefore: clock.now() + this.#rewrites.next() };
    } catch (error) {
      const wait = this.#retries.next(isApiError(error) ? error.retryAfterMs : undefined);
      this.#last = { patch, done: false, at, notBefore: clock.now() + wait };
      if (!signal.aborted) this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    const denied = isApiError(error, 403);
    const hint = denied ? " (a role with the verb patch on nodes/status is needed)" : "";
    const reason = `${messageOf(error)}${hint}`;
    if (reason === this.#complaint) return;
    this.#complaint = reason;
    this.#options.log.warn("this host's Node cannot be written: trying again", { reason });
    if (denied) this.#options.denied(reason);
  }
}

/** By way of the status: the right to that is the least that changes annotations. */
export async function patchNode(client: KubeClient, name: string, body: object, signal?: AbortSignal): Promise<void> {
  const contentType = "application/strategic-merge-patch+json";
  const options = { body, contentType, timeoutMs: WRITE_MS, ...(signal && { signal }) };
  await client.request("PATCH", `${pathOfNode(name)}/status`, options);
}

export function pathOfNode(name: string): string {
  return `/api/v1/nodes/${encodeURIComponent(name)}`;
}

/** For comparison: a condition says when it was written. */
function untimed(patch: object): unknown {
  return JSON.parse(JSON.stringify(patch, (key, value) => (/^last\w+Time$/.test(key) ? undefined : value)));
}
