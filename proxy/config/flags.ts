/**
 * From what the command line gave to what a proxy does: flags or the file that `--config` names, defaults, checks,
 * {@link ProxySettings}.
 *
 * As with kube-proxy, a file replaces the flags: beside it only those count that no key can say, the node's name
 * and what is logged.
 *
 * @module
 */
import { type Flags, type Given, numberOf, readFlags, textOf } from "../../lib/daemon/flags.ts";
import type { Value } from "../../lib/daemon/kinds.ts";
import { TsnetError } from "../../lib/errors.ts";
import { readIfThere, readSysctl } from "../../lib/sys/files.ts";
import type { ProxySettings } from "../settings.ts";
import { Configuration, withPort } from "./configuration.ts";
import { readConfiguration } from "./file.ts";
import { gateWarnings } from "./gates.ts";
import { keyOf, type Path, paths } from "./keys.ts";
import { FLAGS, type Flag } from "./names.ts";
import { settle } from "./settle.ts";
import { problemsOf } from "./validate.ts";

/** The flags of FLAGS that were given. */
export type ProxyFlags = Flags;

type GivenFlags = ReadonlyMap<string, Given<Flag>>;

/** What settings are read from beside the flags. */
export interface Surroundings {
  /** The text of the file that --config names; undefined if it is not there. */
  readonly readFile: (path: string) => string | undefined;
  readonly hostname: () => string;
}

const host: Surroundings = { readFile: readIfThere, hostname: () => readSysctl("kernel/hostname") ?? "" };

/**
 * Settings with every default filled in. `warn` is told, a line each, of what is accepted and changes nothing.
 *
 * @throws TsnetError `usage` for the flags; `not-found`, `decoding` or `invalid` for the file, with a line for
 * everything that is wrong with it.
 */
export function settingsFrom(
  flags: ProxyFlags,
  warn: (text: string) => void = () => {},
  { readFile, hostname }: Surroundings = host,
): ProxySettings {
  const given = readFlags(flags, FLAGS);
  const file = textOf(given, "config") ?? "";
  const values = file === "" ? fromFlags(given, warn) : fromFile(file, given, readFile, warn);
  const config = new Configuration(values);
  const problems = problemsOf(config);
  if (problems.length > 0) throw wrong(file, problems);
  for (const text of [...idleKeys(config, given), ...gateWarnings(config.gates())]) warn(text);
  return settle(config, given, file, hostname);
}

/** With --config: what the file sets, and over it the flags that count beside one. */
function fromFile(
  path: string,
  given: GivenFlags,
  readFile: Surroundings["readFile"],
  warn: (text: string) => void,
): ReadonlyMap<Path, Value> {
  const text = readFile(path);
  if (text === undefined) {
    throw new TsnetError(`no file ${path}, which --config names`, { code: "not-found", op: "read configuration" });
  }
  const problems: string[] = [];
  const warnings: string[] = [];
  const values = new Map(readConfiguration(text, { problems, warnings }));
  if (problems.length > 0) throw wrong(path, problems);
  for (const one of warnings) warn(`${path}: ${one}`);
  const replaced = [...given.values()].filter(({ flag }) => flag.beside !== true).map(({ name }) => `--${name}`);
  if (replaced.length > 0) warn(`with --config these flags count for nothing: ${replaced.join(", ")}`);
  for (const { flag, value } of given.values()) {
    if (flag.beside === true && flag.path !== undefined) values.set(flag.path, value);
  }
  return values;
}

/** Without --config. The flags that are older than the keys mean several of them. */
function fromFlags(given: GivenFlags, warn: (text: string) => void): ReadonlyMap<Path, Value> {
  const values = new Map<Path, Value>();
  for (const { name, flag, value } of given.values()) {
    if (flag.path !== undefined) values.set(flag.path, value);
    for (const path of SEVERAL[name] ?? []) values.set(path, value);
    if (flag.idle !== undefined && flag.path === undefined) warn(`--${name}: ${flag.idle}`);
  }
  for (const [name, path] of PORTS) {
    const port = numberOf(given, name);
    if (port === undefined) continue;
    warn(`--${name} is deprecated: write --${name.replace("port", "bind-address")}`);
    values.set(path, port === 0 ? "" : servedAt(values.get(path), path, port));
  }
  return values;
}

const SEVERAL: Readonly<Record<string, readonly Path[]>> = {
  "iptables-sync-period": ["iptables.syncPeriod", "nftables.syncPeriod"],
  "iptables-min-sync-period": ["iptables.minSyncPeriod", "nftables.minSyncPeriod"],
  "masquerade-all": ["iptables.masqueradeAll", "nftables.masqueradeAll"],
};

const PORTS = [
  ["healthz-port", "healthzBindAddress"],
  ["metrics-port", "metricsBindAddress"],
] as const;

/** The port goes where the address has none. */
function servedAt(address: Value | undefined, path: "healthzBindAddress" | "metricsBindAddress", port: number): Value {
  if (typeof address === "string") return withPort(address, port);
  return keyOf(path).initial.toString().replace(/\d+$/, String(port));
}

/** What is set and changes nothing, by the name that it was set by. */
function idleKeys(config: Configuration, given: GivenFlags): readonly string[] {
  return paths.flatMap((path) => {
    const { idle, initial } = keyOf(path);
    if (idle === undefined || Bun.deepEquals(config.get(path), initial)) return [];
    const flag = [...given.values()].find((one) => one.flag.path === path && one.value === config.get(path));
    return [`${flag === undefined ? path : `--${flag.name}`}: it changes nothing here, ${idle}`];
  });
}

function wrong(file: string, problems: readonly string[]): TsnetError {
  if (file === "") return new TsnetError(problems.join("\n"), { code: "usage", op: "read flags" });
  const lines = problems.map((problem) => `${file}: ${problem}`).join("\n");
  return new TsnetError(lines, { code: "invalid", op: "read configuration" });
}
