/**
 * A program that runs in a namespace of a test host until it is told to end, with its output in a file there.
 *
 * @module
 */
import type { Host } from "../e2e/host.ts";
import { eventually } from "../e2e/standalone.ts";

export interface DaemonOptions {
  /** What it is called in errors. */
  readonly name: string;
  /** A named namespace of the host; "" for the host's own. */
  readonly netns: string;
  /** A file of the host, appended to. */
  readonly log: string;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export class Daemon {
  readonly #host: Host;
  readonly #options: DaemonOptions;
  /** As the host numbers it. */
  #pid: number | undefined;
  #continueParent = () => {};
  #ended: Promise<number> = Promise.resolve(0);
  #exitCode: number | undefined;

  constructor(host: Host, options: DaemonOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** As the host's own pid namespace numbers it. */
  get pid(): number {
    if (this.#pid === undefined) throw new Error(`${this.#options.name} does not run`);
    return this.#pid;
  }

  get running(): boolean {
    return this.#pid !== undefined && this.#exitCode === undefined;
  }

  async start(): Promise<void> {
    const { netns, argv, log, env, name } = this.#options;
    const enter = netns === "" ? [] : ["nsenter", `--net=/run/netns/${netns}`, "--"];
    const script = `echo $$; exec "$@" >>${log} 2>&1 </dev/null`;
    const child = this.#host.spawn([...enter, "sh", "-c", script, "sh", ...argv], env === undefined ? {} : { env });
    this.#exitCode = undefined;
    this.#continueParent = () => child.kill("SIGCONT");
    this.#ended = child.exited.then((code) => {
      this.#exitCode = code;
      return code;
    });
    const first = await child.stdout.getReader().read();
    if (first.done) throw new Error(`${name} did not start: ${await new Response(child.stderr).text()}`);
    this.#pid = Number(new TextDecoder().decode(first.value).trim());
  }

  /** Waits until it is as `look` wants it. @throws Error with the end of its log if it ends before, or is late. */
  async until(look: () => Promise<boolean>, ms = 30_000): Promise<void> {
    try {
      await eventually(
        async () => {
          if (!this.running) throw new Error("it has ended");
          return await look();
        },
        `${this.#options.name} is ready`,
        ms,
      );
    } catch (error) {
      throw new Error(`${this.#options.name} is not ready: ${String(error)}\n${await this.tail()}`);
    }
  }

  /** Ends it and waits for that; one that has ended is fine. Returns its exit code. */
  async stop(signal = "KILL"): Promise<number> {
    if (this.running) await this.signal(signal);
    const code = await this.#ended;
    this.#pid = undefined;
    return code;
  }

  async signal(signal: string): Promise<void> {
    await this.#host.run(["kill", `-${signal}`, String(this.pid)]);
    // nsenter, which waits for it, stops itself when it stops, and would then never hear of its end.
    if (signal === "CONT") this.#continueParent();
  }

  async output(): Promise<string> {
    return await this.#host.ok(["cat", this.#options.log]);
  }

  async tail(): Promise<string> {
    return (await this.#host.run(["tail", "-n", "15", this.#options.log])).stdout;
  }
}
