/**
 * Programs that are more than a question and an answer: one that outlives us, and one that has our terminal.
 *
 * @module
 */
import { closeSync, constants, openSync } from "node:fs";
import { constants as system } from "node:os";
import { hasErrno, TsnetError } from "../errors.ts";

/** The absolute path of a program in our PATH. @throws TsnetError `not-found`. */
export function findProgram(name: string): string {
  const path = Bun.which(name, { PATH: process.env.PATH ?? "" });
  if (path !== null) return path;
  throw new TsnetError(`no program ${name} in PATH: install it`, { code: "not-found", op: "find program" });
}

export interface DetachedOptions {
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Descriptor of its standard input; /dev/null unless given. */
  readonly stdin?: number;
  /** Descriptor of its standard output and error; /dev/null unless given. */
  readonly output?: number;
  /** The name that it sees itself called by; its path unless given. */
  readonly argv0?: string;
}

/** A program that goes on when we end. */
export interface Detached {
  readonly pid: number;
  /** Its exit code, or 128 and the signal's number, for as long as we are there to hear of it. */
  readonly exited: Promise<number>;
}

/** Gives what we make and start from now on the usual umask, whatever the caller's is. */
export function useUsualUmask(): void {
  process.umask(0o022);
}

/** Starts a program in a session of its own, with no terminal, in the root folder. */
export function startDetached(argv: readonly string[], options: DetachedOptions): Detached {
  const child = Bun.spawn([...argv], {
    stdio: [options.stdin ?? "ignore", options.output ?? "ignore", options.output ?? "ignore"],
    env: { ...options.env },
    cwd: "/",
    detached: true,
    ...(options.argv0 === undefined ? {} : { argv0: options.argv0 }),
  });
  child.unref();
  return { pid: child.pid, exited: child.exited.then((code) => exitCodeOf(code, child.signalCode)) };
}

export interface AttachedOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Whether it gets a terminal of its own, which ours is joined to. Ours has to be one. */
  readonly terminal: boolean;
  /** Called for a signal that we got and that is meant for it, with its pid: Ctrl-C, TERM. */
  readonly signalled: (pid: number, signal: NodeJS.Signals) => void;
  /** Called when Ctrl-C was typed on its terminal, which has made a signal of it there. */
  readonly interrupted?: () => void;
  /** The folder that it starts in; ours unless given. */
  readonly cwd?: string;
}

/** A program that has our standard streams. */
export interface Attached {
  readonly pid: number;
  /** Its exit code, or 128 and the signal's number; our terminal is as before then. */
  readonly exited: Promise<number>;
}

/** Starts a program with our standard streams. */
export function startAttached(argv: readonly string[], options: AttachedOptions): Attached {
  return options.terminal ? startInTerminal(argv, options) : startWithStreams(argv, options);
}

/** Runs a program with our standard streams to its end and returns its exit code, or 128 and the signal's number. */
export function runAttached(argv: readonly string[], options: AttachedOptions): Promise<number> {
  return startAttached(argv, options).exited;
}

/** Whether our standard input and output are a terminal. */
export function isTerminal(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true;
}

/** Lets whoever waits for a writer on the named pipe `path` go on; false if nobody waits there (yet). */
export function openGate(path: string): boolean {
  try {
    // Without a reader this is ENXIO.
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch (error) {
    if (hasErrno(error, "ENXIO")) return false;
    throw error;
  }
}

/** Signals that are for the command and not for us. */
const FORWARDED = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

// The bit of termios(3) by which a terminal makes signals of keys.
const ISIG = 1;
const CTRL_C = 3;

function startWithStreams(argv: readonly string[], options: AttachedOptions): Attached {
  // A session of its own keeps the terminal's signals from those that wait for the command: we pass them on.
  const child = Bun.spawn([...argv], {
    stdio: ["inherit", "inherit", "inherit"],
    env: { ...options.env },
    detached: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const forward = (signal: NodeJS.Signals) => options.signalled(child.pid, signal);
  for (const signal of FORWARDED) process.on(signal, forward);
  const exited = child.exited.then((code) => exitCodeOf(code, child.signalCode));
  return {
    pid: child.pid,
    exited: exited.finally(() => {
      for (const signal of FORWARDED) process.off(signal, forward);
    }),
  };
}

function startInTerminal(argv: readonly string[], options: AttachedOptions): Attached {
  const { stdin, stdout } = process;
  const size = () => ({ cols: stdout.columns || 80, rows: stdout.rows || 24 });
  const child = Bun.spawn([...argv], {
    env: { ...options.env },
    terminal: { ...size(), data: (_terminal, data) => void stdout.write(data) },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const { terminal } = child;
  const onInput = (data: Uint8Array) => {
    const interrupts = data.includes(CTRL_C) && ((terminal?.localFlags ?? 0) & ISIG) !== 0;
    terminal?.write(data);
    if (interrupts) options.interrupted?.();
  };
  const onResize = () => void terminal?.resize(size().cols, size().rows);
  // Our terminal's keys are bytes now, Ctrl-C too; signals still come from elsewhere.
  const forward = (signal: NodeJS.Signals) => options.signalled(child.pid, signal);
  for (const signal of FORWARDED) process.on(signal, forward);
  const mode = stty("-g");
  // The runtime's own raw mode goes on turning line ends into two characters, which the inner terminal has done.
  stty("raw", "-echo");
  stdin.on("data", onInput);
  stdout.on("resize", onResize);
  const exited = child.exited.then((code) => exitCodeOf(code, child.signalCode));
  return {
    pid: child.pid,
    exited: exited.finally(() => {
      for (const signal of FORWARDED) process.off(signal, forward);
      stdout.off("resize", onResize);
      stdin.off("data", onInput);
      stty(mode);
      stdin.pause();
      terminal?.close();
    }),
  };
}

/** stty(1) on our terminal. */
function stty(...args: readonly string[]): string {
  return Bun.spawnSync(["stty", ...args], { stdio: ["inherit", "pipe", "ignore"] })
    .stdout.toString()
    .trim();
}

function exitCodeOf(code: number, signal: NodeJS.Signals | number | null): number {
  if (signal === null) return code;
  return 128 + (typeof signal === "number" ? signal : (system.signals[signal] ?? 0));
}
