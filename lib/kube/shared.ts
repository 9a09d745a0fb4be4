/**
 * What reflectors of one server tell each other.
 *
 * @module
 */
import { pause } from "../daemon/backoff.ts";

/** One a server, for all its reflectors. */
export class SharedServer {
  /** False once the server has shown that it cannot stream a list as a watch. */
  watchList = true;
  #waiting = new Set<AbortController>();

  /** Waits because the server cannot be reached: less than `ms` if another finds that it can again. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    const end = new AbortController();
    const stop = () => end.abort();
    signal.addEventListener("abort", stop);
    this.#waiting.add(end);
    await pause(signal.aborted ? 0 : ms, end.signal);
    this.#waiting.delete(end);
    signal.removeEventListener("abort", stop);
  }

  /** The server is back. */
  wake(): void {
    for (const waiting of this.#waiting) waiting.abort();
  }
}
