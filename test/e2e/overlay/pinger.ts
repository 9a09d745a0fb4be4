/**
 * A ping 100 times a second, and what of it was lost and when: how a test sees that a change was felt by nobody.
 *
 * @module
 */
import type { Subprocess } from "bun";
import type { Host } from "../host.ts";

const PERIOD_MS = 10;
/** An answer to what was sent just before the end may still be on its way: that is no loss. */
const TAIL = 20;

export interface Losses {
  readonly name: string;
  readonly sent: number;
  readonly lost: number;
  /** The longest time in ms without an answer. */
  readonly longest: number;
}

export class Pinger implements AsyncDisposable {
  readonly name: string;
  readonly #process: Subprocess<"ignore" | "pipe", "pipe", "pipe">;
  readonly #signal: (signal: string) => Promise<unknown>;
  readonly #read: Promise<void>;
  #text = "";

  private constructor(host: Host, netns: string, address: string, name: string) {
    this.name = name;
    const ping = ["ping", "-n", "-i", String(PERIOD_MS / 1000), address];
    this.#process = host.spawn(["ip", "netns", "exec", netns, "sh", "-c", 'echo "pid $$"; exec "$@"', "sh", ...ping]);
    this.#signal = (signal) => host.run(["kill", `-${signal}`, /^pid (\d+)$/m.exec(this.#text)?.[1] ?? ""]);
    this.#read = this.#follow();
  }

  /** Starts it in a namespace of a host, and waits for the first answer. */
  static async start(host: Host, netns: string, address: string, name: string): Promise<Pinger> {
    const pinger = new Pinger(host, netns, address, name);
    for (const start = Date.now(); pinger.answers === 0; await Bun.sleep(5)) {
      if (Date.now() - start < 5000) continue;
      await pinger.stop();
      throw new Error(`${name}: no answer to the first pings`);
    }
    return pinger;
  }

  /** So far. */
  get answers(): number {
    return this.#text.match(/icmp_seq=/g)?.length ?? 0;
  }

  /** Ends it and tells what was lost; what was sent within the last 200 ms counts only if more than that is missing. */
  async stop(): Promise<Losses> {
    if (this.#process.exitCode === null) await this.#signal("INT");
    await Promise.all([this.#process.exited, this.#read]);
    const sent = Number(/(\d+) packets transmitted/.exec(this.#text)?.[1] ?? 0);
    const answered = new Set([...this.#text.matchAll(/icmp_seq=(\d+) ttl=/g)].map(([, number]) => Number(number)));
    const last = Math.max(0, ...answered);
    const end = sent - last <= TAIL ? last : sent;
    let [lost, run, longest] = [0, 0, 0];
    for (let number = 1; number <= end; number++) {
      run = answered.has(number) ? 0 : run + 1;
      lost += answered.has(number) ? 0 : 1;
      longest = Math.max(longest, run);
    }
    return { name: this.name, sent, lost, longest: longest * PERIOD_MS };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #follow(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of this.#process.stdout) this.#text += decoder.decode(bytes, { stream: true });
  }
}
