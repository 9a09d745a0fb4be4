/**
 * A KubeProxyConfiguration with every default filled in: read by path, and shown as the object that /configz and
 * --write-config-to give.
 *
 * @module
 */

import { formatDuration } from "../../lib/daemon/duration.ts";
import type { Value, ValueOf } from "../../lib/daemon/kinds.ts";
import { TsnetError } from "../../lib/errors.ts";
import { parseAddress } from "../../lib/net/address.ts";
import { API_VERSION, KIND, keyOf, type Path, type PathOf, paths } from "./keys.ts";

export class Configuration {
  readonly #values: ReadonlyMap<Path, Value>;

  /** @param values What was set; everything else has its default. */
  constructor(values: ReadonlyMap<Path, Value>) {
    this.#values = completed(values);
  }

  get(path: Path): Value {
    return this.#values.get(path) ?? keyOf(path).initial;
  }

  text(path: PathOf<"text" | "quantity">): string {
    const value = this.get(path);
    return typeof value === "string" ? value : mistyped(path);
  }

  bool(path: PathOf<"bool">): boolean {
    const value = this.get(path);
    return typeof value === "boolean" ? value : mistyped(path);
  }

  /** Durations are in ms. */
  number(path: PathOf<"int" | "float" | "duration">): number {
    const value = this.get(path);
    return typeof value === "number" ? value : mistyped(path);
  }

  list(path: PathOf<"list" | "patterns">): readonly string[] {
    const value = this.get(path);
    return isList(value) ? value : mistyped(path);
  }

  gates(): ValueOf["gates"] {
    const value = this.get("featureGates");
    return typeof value === "object" && !isList(value) ? value : mistyped("featureGates");
  }

  /** `bindAddress: "0.0.0.0"` and so on as nested plain data, with apiVersion and kind, in the file's own forms. */
  toObject(): Readonly<Record<string, unknown>> {
    const root: Tree = new Map<string, unknown>([
      ["apiVersion", API_VERSION],
      ["kind", KIND],
    ]);
    for (const path of paths) {
      const data = this.#dataOf(path);
      if (data !== undefined) place(root, path.split("."), data);
    }
    return plain(root);
  }

  /** As the file has it. kube-proxy leaves out what these leave out, and of what every mode has shows its own mode's alone. */
  #dataOf(path: Path): unknown {
    const value = this.get(path);
    const section = path.split(".")[0];
    const used = this.text("mode") === "nftables" ? "nftables" : "iptables";
    if ((section === "iptables" || section === "nftables") && section !== used) {
      if (path.endsWith("yncPeriod")) return "0s";
      if (path.endsWith("masqueradeAll")) return false;
    }
    if (OMITTED_IF_EMPTY.has(path) && isEmpty(value)) return undefined;
    if (typeof value === "number" && keyOf(path).kind === "duration") return formatDuration(value);
    if (path === "logging.vmodule") return this.list(path).map(patternObject);
    return isList(value) && value.length === 0 ? null : value;
  }
}

type Tree = Map<string, unknown>;

const OMITTED_IF_EMPTY: ReadonlySet<Path> = new Set<Path>([
  "featureGates",
  "logging.vmodule",
  "logging.options.text.splitStream",
  "logging.options.json.splitStream",
  "windowsRunAsService",
]);

/** With the addresses to serve on in full: a port where there is none, and what follows bindAddress. */
function completed(values: ReadonlyMap<Path, Value>): ReadonlyMap<Path, Value> {
  const bind = values.get("bindAddress");
  const six = typeof bind === "string" && isIPv6(bind);
  const served: readonly (readonly [Path, string, number])[] = [
    ["healthzBindAddress", six ? "[::]" : "0.0.0.0", HEALTHZ_PORT],
    ["metricsBindAddress", six ? "[::1]" : "127.0.0.1", METRICS_PORT],
  ];
  const full = new Map(values);
  for (const [path, host, port] of served) {
    const value = values.get(path);
    full.set(path, typeof value === "string" ? withPort(value, port) : `${host}:${port}`);
  }
  return full;
}

const HEALTHZ_PORT = 10_256;
const METRICS_PORT = 10_249;

/** `address:port` where `text` is an address alone, IPv6 in brackets; anything else stays as it is. */
export function withPort(text: string, port: number): string {
  if (!isAddress(text)) return text;
  return isIPv6(text) ? `[${text}]:${port}` : `${text}:${port}`;
}

export function isAddress(text: string): boolean {
  try {
    parseAddress(text);
    return true;
  } catch {
    return false;
  }
}

function isIPv6(text: string): boolean {
  return isAddress(text) && parseAddress(text).family === 6;
}

function place(tree: Tree, [name = "", ...rest]: readonly string[], data: unknown): void {
  if (rest.length === 0) {
    tree.set(name, data);
    return;
  }
  const below = tree.get(name);
  const next: Tree = below instanceof Map ? below : new Map();
  tree.set(name, next);
  place(next, rest, data);
}

function plain(tree: Tree): Readonly<Record<string, unknown>> {
  return Object.fromEntries([...tree].map(([name, data]) => [name, data instanceof Map ? plain(data) : data]));
}

function patternObject(pattern: string) {
  const [filePattern = "", verbosity = "0"] = pattern.split("=");
  return { filePattern, verbosity: Number(verbosity) };
}

function isList(value: Value): value is readonly string[] {
  return Array.isArray(value);
}

function isEmpty(value: Value): boolean {
  return value === false || (typeof value === "object" && Object.keys(value).length === 0);
}

function mistyped(path: Path): never {
  throw new TsnetError(`${path} was set to a value of another kind`, { code: "invalid", op: "read configuration" });
}
