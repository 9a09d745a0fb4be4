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

/** Starts a program in a session of its own, with no terminal, in the root folder and with the usual umask. */
export function startDetached(argv: readonly string[], options: DetachedOptions): Detached {
  const umask = process.umask(0o022);
  try {
    const child = Bun.spawn([...argv], {
      stdio: [options.stdin ?? "ignore", options.output ?? "ignore", options.output ?? "ignore"],
      env: { ...options.env },
      cwd: "/",
      detached: true,
      ...(options.argv0 === undefined ? {} : { argv0: options.argv0 }),
    });
    child.unref();
    return { pid: child.pid, exited: child.exited.then((code) => exitCodeOf(code, child.signalCode)) };
  } finally {
    process.umask(umask);
  }
}

export interface AttachedOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Whether it gets a terminal of its own, which ours is joined to. Ours has to be one. */
  readonly terminal: boolean;
  /** Called with its pid when it has been started. */
  readonly started?: (pid: number) => void;
}

/**
 * Runs a program with our standard streams to its end and returns its exit code, or 128 and the signal's number.
 * Ctrl-C goes to it and does not end us; a TERM to us is handed on to its children.
 */
export async function runAttached(argv: readonly string[], options: AttachedOptions): Promise<number> {
  return options.terminal ? runInTerminal(argv, options) : runWithStreams(argv, options);
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

async function runWithStreams(argv: readonly string[], options: AttachedOptions): Promise<number> {
  const child = Bun.spawn([...argv], { stdio: ["inherit", "inherit", "inherit"], env: { ...options.env } });
  options.started?.(child.pid);
  // The terminal sends INT and QUIT to everybody in the foreground, so the child has its own already.
  return whileIgnoring(["SIGINT", "SIGQUIT"], async () => {
    const forward = () => child.kill("SIGTERM");
    process.on("SIGTERM", forward);
    try {
      return exitCodeOf(await child.exited, child.signalCode);
    } finally {
      process.off("SIGTERM", forward);
    }
  });
}

async function runInTerminal(argv: readonly string[], options: AttachedOptions): Promise<number> {
  const { stdin, stdout } = process;
  const size = () => ({ cols: stdout.columns || 80, rows: stdout.rows || 24 });
  const child = Bun.spawn([...argv], {
    env: { ...options.env },
    terminal: { ...size(), data: (_terminal, data) => void stdout.write(data) },
  });
  options.started?.(child.pid);
  const { terminal } = child;
  const onInput = (data: Uint8Array) => void terminal?.write(data);
  const onResize = () => void terminal?.resize(size().cols, size().rows);
  stdin.setRawMode(true);
  stdin.on("data", onInput);
  stdout.on("resize", onResize);
  try {
    return exitCodeOf(await child.exited, child.signalCode);
  } finally {
    stdout.off("resize", onResize);
    stdin.off("data", onInput);
    stdin.setRawMode(false);
    stdin.pause();
    terminal?.close();
  }
}

async function whileIgnoring<T>(signals: readonly NodeJS.Signals[], work: () => Promise<T>): Promise<T> {
  const ignore = () => {};
  for (const signal of signals) process.on(signal, ignore);
  try {
    return await work();
  } finally {
    for (const signal of signals) process.off(signal, ignore);
  }
}

function exitCodeOf(code: number, signal: NodeJS.Signals | number | null): number {
  if (signal === null) return code;
  return 128 + (typeof signal === "number" ? signal : (system.signals[signal] ?? 0));
}
