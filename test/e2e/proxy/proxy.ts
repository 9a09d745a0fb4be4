/**
 * `tsnet proxy` on the node of a world, reading manifests that a test writes.
 *
 * @module
 */
import type { Subprocess } from "bun";
import { TSNET } from "../host.ts";
import { Manifests, type Svc } from "./manifests.ts";
import { shortly } from "./prober.ts";
import type { Family, World } from "./world.ts";
import { NODE_NAME } from "./world.ts";

export type Mode = "nftables" | "iptables";

export const FAMILIES: readonly Family[] = [4, 6];

/** How long a change may take, on a machine that is busy with other tests. */
const SETTLE_MS = 20_000;

/** What is under test: the build, unless somebody who works on it says otherwise (`bun cli/main.ts`). */
const COMMAND = process.env.TSNET_UNDER_TEST?.split(" ") ?? [TSNET];

/** Characters of the log's end that a failure shows. */
const LOG_SHOWN = 5000;

/** As short as it can be said: a test changes something and waits for it, some hundred times. */
const FLAGS = ["--detect-local-mode", "NodeCIDR", "--iptables-min-sync-period", "1ms", "--v", "2"];

export class NodeProxy implements AsyncDisposable {
  readonly manifests = new Manifests();
  readonly #world: World;
  readonly #process: Subprocess<"ignore" | "pipe", "pipe", "pipe">;
  #log = "";

  private constructor(world: World, argv: readonly string[]) {
    this.#world = world;
    const command = [...argv, "--manifests", this.manifests.directory, "--hostname-override", NODE_NAME, ...FLAGS];
    // It says its number first, as the host counts: a signal to what entered the host would not reach it.
    const inside = ["ip", "netns", "exec", world.netns("node"), "sh", "-c", 'echo $$; exec "$@"', "sh", ...command];
    this.#process = world.host.spawn(inside);
    void this.#follow(this.#process.stdout);
    void this.#follow(this.#process.stderr);
  }

  /** Starts it and waits until it has programmed `services`. */
  static async start(
    world: World,
    mode: Mode,
    { flags = [], services = [] }: { readonly flags?: readonly string[]; readonly services?: readonly Svc[] } = {},
  ): Promise<NodeProxy> {
    const proxy = new NodeProxy(world, [...COMMAND, "proxy", "--proxy-mode", mode, ...flags]);
    try {
      await proxy.bring(services);
      return proxy;
    } catch (error) {
      await proxy.stop();
      throw error;
    }
  }

  /** Puts these services in the place of all that there were, and waits until that is in place. */
  async bring(services: readonly Svc[]): Promise<void> {
    this.manifests.write(services);
    await this.settled();
  }

  /** Changes or adds services, and waits until that is in place. */
  async change(...services: readonly Svc[]): Promise<void> {
    this.manifests.change(...services);
    await this.settled();
  }

  async remove(...names: readonly string[]): Promise<void> {
    this.manifests.remove(...names);
    await this.settled();
  }

  /** Waits until packets show what was written last: what becomes served is the last that a proxy brings. */
  async settled(): Promise<void> {
    const { prober, netns } = this.#world;
    for (const family of FAMILIES) {
      const question = { protocol: "tcp", ...this.manifests.settledAt(family) } as const;
      const answer = await prober.askUntilAnswered(netns("node"), question, SETTLE_MS);
      if (!("server" in answer)) {
        throw new Error(
          `not in place after ${SETTLE_MS} ms, IPv${family}: ${shortly(answer)}\n${this.#log.slice(-LOG_SHOWN)}`,
        );
      }
    }
  }

  get log(): string {
    return this.#log;
  }

  /** Ends it as a DaemonSet does, which leaves its rules in place. */
  stop(): Promise<void> {
    return this.#end("TERM");
  }

  /** Ends it in the midst of whatever it does. */
  kill(): Promise<void> {
    return this.#end("KILL");
  }

  async #end(signal: string): Promise<void> {
    const pid = /^\d+$/m.exec(this.#log)?.[0];
    if (pid !== undefined) await this.#world.host.run(["kill", `-${signal}`, pid]);
    await this.#process.exited;
    this.manifests.discard();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #follow(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) this.#log += decoder.decode(bytes, { stream: true });
  }
}
