/**
 * The overlay's firewall on a test host, asked from the test: a process of its own there, as an agent is.
 *
 *     bun agent.ts BACKEND      a request a line on standard input, an answer a line on standard output
 *
 * @module
 */
import type { Subprocess } from "bun";
import type { Log } from "../../../lib/daemon/log.ts";
import { messageOf } from "../../../lib/errors.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import type { FirewallWish, OverlayFirewall } from "../../../overlay/firewall/firewall.ts";
import { openFirewall, removeFirewall } from "../../../overlay/firewall/open.ts";
import { prepareHost } from "../../../overlay/host/prepare.ts";
import type { Host } from "../../e2e/host.ts";

/** A {@link FirewallWish} that survives JSON, of both families unless told otherwise. */
export interface PlainWish {
  readonly families?: readonly (4 | 6)[];
  readonly masquerade?: boolean;
  readonly randomFully?: boolean;
  readonly forward?: boolean;
}

export const NETWORKS = { 4: "10.244.0.0/16", 6: "fd00:244::/32" } as const;
export const SUBNETS = { 4: "10.244.1.0/24", 6: "fd00:244:1::/64" } as const;

type Op = "open" | "apply" | "repair" | "disturbed" | "remove" | "prepare" | "log";
type Request = { readonly op: Op; readonly wish?: PlainWish; readonly services?: boolean };
type Reply = { readonly value?: unknown; readonly error?: string };

export class FirewallAgent {
  readonly #child: Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: Subprocess<"pipe", "pipe", "inherit">) {
    this.#child = child;
    this.#lines = linesOf(child.stdout);
  }

  /** Starts one on `host`; `path` is put before PATH, `wrap` before its command line. */
  static async start(
    host: Host,
    backend: "iptables" | "nftables" | "any" | "none",
    { path = "", wrap = [] }: { readonly path?: string; readonly wrap?: readonly string[] } = {},
  ): Promise<FirewallAgent> {
    const argv = [...wrap, process.execPath, import.meta.filename, backend];
    // vitest under Bun: its own executable is the runtime to start, and no test variable must reach the child.
    const env = { PATH: `${path}${process.env.PATH ?? ""}`, BUN_BE_BUN: "1" };
    const agent = new FirewallAgent(Bun.spawn(host.enter(argv), { stdio: ["pipe", "pipe", "inherit"], env }));
    try {
      await agent.ask("open");
    } catch (error) {
      await agent[Symbol.asyncDispose]();
      throw error;
    }
    return agent;
  }

  /** What was logged since the last call, as `warn: message`. */
  async log(): Promise<readonly string[]> {
    return (await this.ask("log")) as readonly string[];
  }

  async ask(op: Op, more: Omit<Request, "op"> = {}): Promise<unknown> {
    this.#child.stdin.write(`${JSON.stringify({ op, ...more })}\n`);
    this.#child.stdin.flush();
    const { value: line } = await this.#lines.next();
    if (line === undefined) throw new Error("the firewall's process has ended");
    const reply: Reply = JSON.parse(line);
    if (reply.error !== undefined) throw new Error(reply.error);
    return reply.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    await this.#child.exited;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const bytes of stream) {
    const lines = (pending + decoder.decode(bytes, { stream: true })).split("\n");
    pending = lines.pop() ?? "";
    yield* lines;
  }
  return undefined;
}

function wishFrom({
  families = [4, 6],
  masquerade = true,
  randomFully = true,
  forward = true,
}: PlainWish): FirewallWish {
  const parts = (texts: typeof NETWORKS | typeof SUBNETS) =>
    Object.fromEntries(families.map((family) => [family, parseCidr(texts[family])]));
  return { networks: parts(NETWORKS), subnets: parts(SUBNETS), masquerade, randomFully, forward };
}

async function main(backend: string): Promise<void> {
  let logged: string[] = [];
  const log: Log = {
    info: (message) => logged.push(`info: ${message}`),
    warn: (message) => logged.push(`warn: ${message}`),
    error: (message) => logged.push(`error: ${message}`),
    debug: () => {},
  };
  let firewall: OverlayFirewall | undefined;
  const handle = async ({ op, wish = {}, services = false }: Request): Promise<unknown> => {
    switch (op) {
      case "open":
        if (backend !== "none") {
          firewall = await openFirewall(backend === "iptables" || backend === "nftables" ? backend : undefined, {
            log,
          });
        }
        return firewall?.backend;
      case "apply":
        return firewall?.apply(wishFrom(wish));
      case "repair":
        return firewall?.repair();
      case "disturbed":
        return firewall?.disturbed();
      case "remove":
        return removeFirewall(log);
      case "prepare":
        return prepareHost(wish.families ?? [4, 6], log, { services });
      case "log": {
        const lines = logged;
        logged = [];
        return lines;
      }
    }
  };
  for await (const line of linesOf(Bun.stdin.stream())) {
    let reply: Reply;
    try {
      reply = { value: await handle(JSON.parse(line)) };
    } catch (error) {
      reply = { error: messageOf(error) };
    }
    console.log(JSON.stringify(reply));
  }
  process.exit(0);
}

if (import.meta.main) await main(process.argv[2] ?? "any");
