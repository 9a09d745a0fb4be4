/**
 * The iptables back end on a test host: a process that takes calls by standard input, one JSON object a line, and
 * answers each with one on standard output.
 *
 * @module
 */
import type { Subprocess } from "bun";
import { messageOf } from "../../../lib/errors.ts";
import type { Backend, BackendSettings } from "../../../proxy/backend.ts";
import { iptablesBackend } from "../../../proxy/iptables/backend.ts";
import { removeIptablesRules } from "../../../proxy/iptables/remove.ts";
import type { PortRules, ServiceChange, Table } from "../../../proxy/table/types.ts";
import type { Host } from "../host.ts";

export interface TableJson {
  readonly services: Readonly<Record<string, readonly PortRules[]>>;
  readonly serviceCIDRs: readonly string[];
  readonly node: Table["node"];
}

export type Call =
  | { readonly do: "open"; readonly settings: BackendSettings }
  | { readonly do: "replace" | "render"; readonly table: TableJson }
  /** Services as they become, or null for those that go. */
  | { readonly do: "update"; readonly services: Readonly<Record<string, readonly PortRules[] | null>> }
  | { readonly do: "sweep" | "present" | "intact" | "audit" | "remove" | "limited" }
  | { readonly do: "removeAll"; readonly variant: "nft" | "legacy"; readonly family: 4 | 6 };

export interface Answer {
  readonly result?: unknown;
  readonly error?: string;
  readonly ms: number;
  /** Of the process itself, ms of CPU time. */
  readonly cpu: number;
  readonly rss: number;
  readonly warnings: readonly string[];
}

/** A back end that lives in a process of the host. */
export class Caller {
  readonly #child: Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncGenerator<string>;
  /** Warnings of the last call. */
  warnings: readonly string[] = [];
  last: Answer | undefined;

  /** @param path is where it finds programs. */
  constructor(host: Host, path = process.env.PATH ?? "") {
    this.#child = Bun.spawn(host.enter(["/usr/bin/env", `PATH=${path}`, process.execPath, import.meta.filename]), {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, BUN_BE_BUN: "1" },
    });
    this.#lines = linesOf(this.#child.stdout);
  }

  static async open(host: Host, settings: Partial<BackendSettings> = {}, path?: string): Promise<Caller> {
    const caller = new Caller(host, path);
    await caller.call({ do: "open", settings: { ...SETTINGS, ...settings } });
    return caller;
  }

  /** @throws Error with the message of what failed. */
  async call(call: Call): Promise<unknown> {
    this.#child.stdin.write(`${JSON.stringify(call)}\n`);
    this.#child.stdin.flush();
    const { value } = await this.#lines.next();
    const answer: Answer = JSON.parse(value ?? '{"error":"the process ended"}');
    this.last = answer;
    this.warnings = answer.warnings;
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.result;
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    await this.#child.exited;
  }

  get pid(): number {
    return this.#child.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Makes the host one whose kubelet uses this variant. */
export async function useVariant(host: Host, variant: "nft" | "legacy"): Promise<void> {
  await host.ok([`iptables-${variant}`, "-t", "mangle", "-N", "KUBE-IPTABLES-HINT"]);
}

export const SETTINGS: BackendSettings = {
  family: 4,
  masqueradeAll: false,
  masqueradeBit: 14,
  localInterface: { kind: "none" },
  nodePortAddresses: "all",
  localhostNodePorts: true,
  dropInvalid: false,
};

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

async function main(): Promise<void> {
  const warnings: string[] = [];
  const ignore = () => {};
  const log = { info: ignore, warn: (text: string) => warnings.push(text), error: ignore, debug: ignore };
  let backend: Backend | undefined;
  let table: Table = { services: new Map(), serviceCIDRs: [], node: { podCIDRs: [], addresses: [] } };
  const services = new Map<string, readonly PortRules[]>();
  const perform = async (call: Call): Promise<unknown> => {
    if (call.do === "open") {
      backend = await iptablesBackend(call.settings, log);
      return undefined;
    }
    if (call.do === "removeAll") return removeIptablesRules(call.family, call.variant, log);
    if (backend === undefined) throw new Error("open first");
    if (call.do === "replace" || call.do === "render") {
      services.clear();
      for (const [name, ports] of Object.entries(call.table.services)) services.set(name, ports);
      table = { ...call.table, services };
      return backend[call.do](table);
    }
    if (call.do === "update") {
      const changes = new Map<string, ServiceChange>();
      for (const [name, after] of Object.entries(call.services)) {
        changes.set(name, { before: services.get(name), after: after ?? undefined });
        if (after === null) services.delete(name);
        else services.set(name, after);
      }
      return backend.update(table, changes);
    }
    if (call.do === "limited") return "limited" in backend && backend.limited;
    return backend[call.do]();
  };
  for await (const line of linesOf(Bun.stdin.stream())) {
    warnings.length = 0;
    const before = process.cpuUsage();
    const start = performance.now();
    const outcome = await perform(JSON.parse(line)).then(
      (result) => ({ result }),
      (error: unknown) => ({ error: messageOf(error) }),
    );
    const { user, system } = process.cpuUsage(before);
    const ms = performance.now() - start;
    const rss = process.memoryUsage.rss();
    console.log(JSON.stringify({ ...outcome, ms, cpu: (user + system) / 1000, rss, warnings }));
  }
}

if (import.meta.main) await main();
