/**
 * The daemon's flags: the reference's names and defaults, in Go's forms (one dash or two).
 *
 * @module
 */
import { canonicalArguments } from "../../../lib/daemon/argv.ts";
import { type Flags, type GoFlag, isOn, numberOf, readFlags, textOf } from "../../../lib/daemon/flags.ts";
import type { Times } from "../../../lib/dhcp/keeper.ts";
import { TsnetError } from "../../../lib/errors.ts";
import { DEFAULT_SOCKET } from "../place.ts";

export interface DaemonSettings {
  /** Gets our pid; undefined: none. */
  readonly pidFile: string | undefined;
  /** Where the host's root is; empty if it is ours. */
  readonly hostPrefix: string;
  /** Without the prefix. */
  readonly socket: string;
  readonly times: Times;
  readonly broadcast: boolean;
}

const TIMEOUT_MS = 10_000;
const RESEND_MAX_MS = 62_000;
const RESEND_TIMEOUT_MS = 208_000;

const FLAGS: Readonly<Record<string, GoFlag>> = {
  pidfile: { kind: "text", help: "write the daemon's PID to this file" },
  hostprefix: { kind: "text", help: "where the host's root is mounted: the socket and namespaces are below it" },
  socketpath: { kind: "text", help: `listen here (default ${DEFAULT_SOCKET})` },
  broadcast: { kind: "bool", help: "have servers answer to everybody on the link" },
  timeout: { kind: "duration", help: "wait this long for the answer to one request (default 10s)" },
  resendmax: { kind: "duration", help: "wait about this long at most between two tries (default 1m2s)" },
  resendtimeout: { kind: "duration", help: "give up getting a lease after this time (default 3m28s)" },
};

/** Undefined if help is asked for. @throws TsnetError `usage`. */
export function parseFlags(argv: readonly string[]): DaemonSettings | undefined {
  const words = canonicalArguments(argv, FLAGS, { oneDash: true });
  if (words.some((word) => ["-h", "-help", "--help"].includes(word))) return undefined;
  const given = readFlags(textsOf(words), FLAGS);
  const pidFile = textOf(given, "pidfile") || undefined;
  if (pidFile !== undefined && !pidFile.startsWith("/")) {
    throw usage(`Error writing pidfile ${JSON.stringify(pidFile)}: path not absolute`);
  }
  const socket = textOf(given, "socketpath") || DEFAULT_SOCKET;
  if (!socket.startsWith("/")) throw usage(`--socketpath=${socket}: wanted is a path that begins with "/"`);
  const times = {
    timeout: numberOf(given, "timeout") ?? TIMEOUT_MS,
    resendMax: numberOf(given, "resendmax") ?? RESEND_MAX_MS,
    resendTimeout: numberOf(given, "resendtimeout") ?? RESEND_TIMEOUT_MS,
  };
  for (const [name, ms] of Object.entries(times)) {
    if (ms <= 0) throw usage(`--${name.toLowerCase()} has to be more than 0`);
  }
  const hostPrefix = (textOf(given, "hostprefix") ?? "").replace(/\/+$/, "");
  return { pidFile, hostPrefix, socket, times, broadcast: isOn(given, "broadcast") };
}

/** The flags behind the word `daemon`, which only who asks for help may leave out. @throws TsnetError `usage`. */
export function afterWord(argv: readonly string[]): readonly string[] {
  const [word = ""] = argv;
  if (word === "daemon") return argv.slice(1);
  if (/^-{1,2}h(elp)?$/.test(word)) return ["-h"];
  throw usage(`found ${JSON.stringify(word)}: write dhcp daemon, and its flags behind that`);
}

/** What `dhcp daemon -h` prints. */
export function helpText(): string {
  const lines = Object.entries(FLAGS).map(([name, { kind, help }]) => {
    const flag = kind === "bool" ? `-${name}` : `-${name} ${kind === "text" ? "path" : kind}`;
    return `  ${flag.padEnd(24)} ${help}`;
  });
  return `Usage: dhcp daemon [flags]\n\nGets, renews and gives back the leases of the dhcp plugin.\n\n${lines.join("\n")}\n`;
}

function textsOf(words: readonly string[]): Flags {
  const texts: Record<string, string[]> = {};
  for (const word of words) {
    const [, name = "", equals, value = ""] = /^--([^=]+)(=)?(.*)$/s.exec(word) ?? [];
    if (name === "") throw usage(`unexpected argument ${JSON.stringify(word)}`);
    if (equals === undefined && Object.hasOwn(FLAGS, name)) throw usage(`--${name} takes a value`);
    texts[name] = [...(texts[name] ?? []), value];
  }
  return texts;
}

function usage(message: string): TsnetError {
  return new TsnetError(message, { code: "usage", op: "read flags" });
}
