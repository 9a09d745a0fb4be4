/**
 * `tsnet proxy` on a throwaway host, with a directory of manifests that a test writes: for what concerns the daemon
 * itself, where no packets are needed.
 *
 * @module
 */
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type Host, TSNET } from "../host.ts";

export type Mode = "nftables" | "iptables";
export const MODES: readonly Mode[] = ["nftables", "iptables"];
export const NODE = "n1";

/** What is under test: the build, unless somebody who works on it says otherwise (`bun cli/main.ts`). */
const COMMAND = process.env.TSNET_UNDER_TEST?.split(" ") ?? [TSNET];
const FLAGS = ["--hostname-override", NODE, "--iptables-min-sync-period", "1ms", "--v", "4"];
const WAIT_MS = 30_000;
const LOG_SHOWN = 4000;

/** Waits until `look` finds something. @throws Error with `what` if it does not for a long time. */
export async function until<T>(what: string, look: () => Promise<T | undefined | false> | T | undefined | false) {
  for (const start = Date.now(); Date.now() - start < WAIT_MS; await Bun.sleep(20)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
  }
  throw new Error(`still waiting after ${WAIT_MS} ms: ${what}`);
}

/** A directory of manifests, a file an object. */
export class Directory implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<Directory> {
    return new Directory(await mkdtemp(join(tmpdir(), "manifests-")));
  }

  /** Writes objects, or text that shall stand in the file as it is. */
  async write(name: string, ...objects: readonly (object | string)[]): Promise<void> {
    const text = objects
      .map((object) => (typeof object === "string" ? object : JSON.stringify(object)))
      .join("\n---\n");
    await writeFile(join(this.path, `.${name}`), text);
    await rename(join(this.path, `.${name}`), join(this.path, `${name}.yaml`));
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.path, `${name}.yaml`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

/** A proxy that runs until it is stopped or its host is destroyed. */
export class Daemon {
  readonly #host: Host;
  readonly #process: Subprocess<"ignore" | "pipe", "pipe", "pipe">;
  #log = "";

  /** With the flags `argv`; or `program`, which runs one in its own way. */
  constructor(
    host: Host,
    argv: readonly string[],
    env: Readonly<Record<string, string>> = {},
    program: readonly string[] = [...COMMAND, "proxy", ...FLAGS, ...argv],
  ) {
    this.#host = host;
    // It says its number first, as its host counts.
    this.#process = host.spawn(["sh", "-c", 'echo "pid $$"; exec "$@"', "sh", ...program], {
      env: { PATH: process.env.PATH ?? "", ...env },
    });
    void this.#follow(this.#process.stdout);
    void this.#follow(this.#process.stderr);
  }

  get log(): string {
    return this.#log;
  }

  /** Waits until the log has this. */
  async logged(pattern: RegExp): Promise<string> {
    try {
      return await until(`${pattern} in the log`, () => pattern.exec(this.#log)?.[0]);
    } catch (error) {
      throw new Error(`${String(error)}\n${this.#log.slice(-LOG_SHOWN)}`);
    }
  }

  /** Waits until both families were put in place. */
  async inPlace(): Promise<this> {
    await this.logged(/rules in place family=6/);
    return this;
  }

  async signal(signal: "TERM" | "INT" | "KILL" | "STOP" | "CONT"): Promise<void> {
    const pid = await until("its pid", () => /^pid (\d+)$/m.exec(this.#log)?.[1]);
    await this.#host.run(["kill", `-${signal}`, pid]);
  }

  get exited(): Promise<number> {
    return this.#process.exited;
  }

  /** Ends it as a DaemonSet does. */
  async stop(): Promise<number> {
    await this.signal("TERM");
    return this.exited;
  }

  async #follow(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) this.#log += decoder.decode(bytes, { stream: true });
  }
}

/** Runs it to its end. */
export function runToEnd(host: Host, argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return host.run([...COMMAND, "proxy", ...FLAGS, ...argv], { env });
}

export interface ServiceSpec {
  readonly name: string;
  /** Its cluster IP is 10.96.x.y of this number. */
  readonly n: number;
  readonly protocol?: "TCP" | "UDP";
  /** Last octets of 10.1.0.x. */
  readonly endpoints: readonly number[];
  readonly nodePort?: number;
  readonly healthCheckNodePort?: number;
}

/** A Service and its slice. */
export function service(spec: ServiceSpec): readonly object[] {
  const { name, n, protocol = "TCP", endpoints, nodePort, healthCheckNodePort } = spec;
  const metadata = { name, namespace: "default" };
  const clusterIP = clusterIPOf(n);
  const type = healthCheckNodePort !== undefined ? "LoadBalancer" : nodePort !== undefined ? "NodePort" : "ClusterIP";
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: {
        ...{ type, clusterIP, clusterIPs: [clusterIP] },
        ports: [{ name: "p", port: 80, protocol, ...(nodePort === undefined ? {} : { nodePort }) }],
        ...(healthCheckNodePort === undefined ? {} : { externalTrafficPolicy: "Local", healthCheckNodePort }),
      },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: `${name}-1`, namespace: "default", labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "p", port: 8080, protocol }],
      endpoints: endpoints.map((last) => ({ addresses: [`10.1.0.${last}`], nodeName: NODE, conditions: {} })),
    },
  ];
}

export function clusterIPOf(n: number): string {
  return `10.96.${n >> 8}.${n & 255}`;
}

/** The node itself. */
export function node(more: { readonly metadata?: object; readonly spec?: object } = {}): object {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: NODE, ...more.metadata },
    spec: { ...more.spec },
    status: { addresses: [{ type: "InternalIP", address: "192.168.50.1" }] },
  };
}

/**
 * The rules of one family that are there, in an order that does not depend on how they came to be: lines of chains
 * in theirs, chains and elements sorted.
 */
export async function rulesOf(host: Host, mode: Mode, family: 4 | 6 = 4): Promise<string> {
  if (mode === "nftables") {
    const { stdout } = await host.run(["nft", "list", "table", family === 4 ? "ip" : "ip6", "tsnet-proxy"]);
    const words = stdout.split(/,\s|\n|elements = \{/).map((word) => word.trim().replace(/,$| \}$/, ""));
    return words
      .filter((word) => word !== "")
      .sort()
      .join("\n");
  }
  const program = family === 4 ? "iptables-save" : "ip6tables-save";
  const lines = (await host.ok([program])).split("\n").filter((line) => line.includes("KUBE-"));
  const byChain = new Map<string, string[]>();
  for (const line of lines) {
    const chain = /^(?:-A |:)(\S+)/.exec(line)?.[1] ?? "";
    byChain.set(chain, [...(byChain.get(chain) ?? []), line.replace(/\[\d+:\d+\]/, "")]);
  }
  return [...byChain]
    .sort(([a], [b]) => a.localeCompare(b))
    .flatMap(([, rules]) => rules)
    .join("\n");
}
