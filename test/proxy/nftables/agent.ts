/**
 * The nftables back end on a test host, asked from the test: a process of its own there, as a proxy is.
 *
 *     bun agent.ts SETTINGS      a request a line on standard input, an answer a line on standard output
 *
 * @module
 */
import type { Subprocess } from "bun";
import { messageOf } from "../../../lib/errors.ts";
import type { Applied, BackendSettings } from "../../../proxy/backend.ts";
import { nftablesBackend } from "../../../proxy/nftables/backend.ts";
import type { PortRules, ServiceChange, Table } from "../../../proxy/table/types.ts";
import type { Host } from "../../e2e/host.ts";

/** A {@link Table} that survives JSON. */
export type PlainTable = Omit<Table, "services"> & {
  readonly services: Readonly<Record<string, readonly PortRules[]>>;
};

export const SETTINGS: BackendSettings = {
  family: 4,
  masqueradeAll: false,
  masqueradeBit: 14,
  localInterface: { kind: "none" },
  nodePortAddresses: "primary",
  localhostNodePorts: false,
  dropInvalid: false,
};

type Request = { readonly op: string; readonly table?: PlainTable };
type Reply = { readonly value?: unknown; readonly error?: string };

export class BackendAgent {
  readonly #child: Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(child: Subprocess<"pipe", "pipe", "inherit">) {
    this.#child = child;
    this.#lines = linesOf(child.stdout);
  }

  /** Starts one on `host`; `wrap` is put before its command line there. */
  static start(host: Host, settings: Partial<BackendSettings> = {}, wrap: readonly string[] = []): BackendAgent {
    const argv = [...wrap, process.execPath, import.meta.filename, JSON.stringify({ ...SETTINGS, ...settings })];
    // vitest under Bun: its own executable is the runtime to start, and no test variable must reach the child.
    const env = { PATH: process.env.PATH ?? "", BUN_BE_BUN: "1" };
    return new BackendAgent(Bun.spawn(host.enter(argv), { stdio: ["pipe", "pipe", "inherit"], env }));
  }

  replace(table: PlainTable): Promise<Applied> {
    return this.#ask<Applied>({ op: "replace", table });
  }

  /** Brings what differs from the table that was brought last. */
  update(table: PlainTable): Promise<Applied> {
    return this.#ask<Applied>({ op: "update", table });
  }

  sweep(): Promise<void> {
    return this.#ask<void>({ op: "sweep" });
  }

  present(): Promise<boolean> {
    return this.#ask<boolean>({ op: "present" });
  }

  intact(): Promise<boolean> {
    return this.#ask<boolean>({ op: "intact" });
  }

  audit(): Promise<readonly string[]> {
    return this.#ask<readonly string[]>({ op: "audit" });
  }

  render(table: PlainTable): Promise<string> {
    return this.#ask<string>({ op: "render", table });
  }

  remove(): Promise<void> {
    return this.#ask<void>({ op: "remove" });
  }

  async stop(): Promise<void> {
    this.#child.stdin.end();
    await this.#child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #ask<T>(request: Request): Promise<T> {
    const answer = this.#queue.then(async () => {
      this.#child.stdin.write(`${JSON.stringify(request)}\n`);
      this.#child.stdin.flush();
      const { value: line } = await this.#lines.next();
      if (line === undefined) throw new Error("the back end's process has ended");
      const reply: Reply = JSON.parse(line);
      if (reply.error !== undefined) throw new Error(reply.error);
      return reply.value as T;
    });
    this.#queue = answer.catch(() => {});
    return answer;
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

function tableFrom({ services, ...rest }: PlainTable): Table {
  const entries = Object.entries(services).map(([name, ports]): [string, readonly PortRules[]] => [
    name,
    // What is undefined does not survive JSON.
    ports.map((rules) => ({ ...rules, affinitySeconds: rules.affinitySeconds })),
  ]);
  return { ...rest, services: new Map(entries) };
}

function changesBetween(before: Table, after: Table): ReadonlyMap<string, ServiceChange> {
  const changes = new Map<string, ServiceChange>();
  for (const name of new Set([...before.services.keys(), ...after.services.keys()])) {
    const change = { before: before.services.get(name), after: after.services.get(name) };
    if (JSON.stringify(change.before) !== JSON.stringify(change.after)) changes.set(name, change);
  }
  return changes;
}

async function main(settings: BackendSettings): Promise<void> {
  const silent = () => {};
  const backend = nftablesBackend(settings, { info: silent, warn: silent, error: silent, debug: silent });
  let committed: Table | undefined;
  const handle = async ({ op, table: plain }: Request): Promise<unknown> => {
    const table = plain === undefined ? undefined : tableFrom(plain);
    if (table === undefined) {
      if (op === "sweep") return backend.sweep();
      if (op === "present") return backend.present();
      if (op === "intact") return backend.intact();
      if (op === "audit") return backend.audit();
      return backend.remove();
    }
    if (op === "render") return backend.render(table);
    const before = committed;
    committed = undefined;
    if (op === "update" && before === undefined) throw new Error("nothing is committed");
    const applied =
      op === "update" && before !== undefined
        ? await backend.update(table, changesBetween(before, table))
        : await backend.replace(table);
    committed = table;
    return applied;
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

if (import.meta.main) await main(JSON.parse(process.argv[2] ?? "{}"));
