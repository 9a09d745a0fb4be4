/**
 * The one place that starts programs. Arguments never pass a shell.
 *
 * @module
 */
import { hasErrno, TsnetError } from "../errors.ts";

/** How a program ended. A non-zero exit is a result, not an exception: the caller knows what it means. */
export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Text for its standard input; none: it reads an empty one. */
  readonly stdin?: string;
  /** Its whole environment; without it, ours. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** A descriptor that it inherits as its number 3 and so keeps open, such as a lock that must outlive us. Implies `light`. */
  readonly inheritFd?: number;
  /** Milliseconds after which it is killed and the call throws `timeout`. */
  readonly timeoutMs?: number;
  /**
   * Starts it by the runtime's own spawn instead of execa, whose loading costs more than a short program runs:
   * for plugins. The program has been started when the call returns, before anything is awaited, so that
   * synchronous work of the caller overlaps with it.
   */
  readonly light?: boolean;
}

/**
 * Runs `program` to its end.
 *
 * @throws TsnetError `not-found` if there is no such program; `timeout`.
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const light = options.light === true || options.inheritFd !== undefined;
  return light ? runLight(program, args, options) : runWithExeca(program, args, options);
}

/**
 * Runs `program` and hands its standard output over line by line, so that an output of any length takes little memory.
 * `onLine` may return false: the program is ended, and its exit code means nothing.
 *
 * @throws TsnetError `not-found` if there is no such program.
 */
export async function runLines(
  program: string,
  args: readonly string[],
  onLine: (line: string) => boolean | undefined,
): Promise<Pick<RunResult, "exitCode" | "stderr"> & { readonly stopped: boolean }> {
  const child = spawnLight(program, args, {});
  const stderr = textOf(child.stderr);
  const stopped = child.stdout instanceof ReadableStream && !(await readLines(child.stdout, onLine));
  if (stopped) child.kill();
  return { exitCode: await child.exited, stderr: await stderr, stopped };
}

/** False if `onLine` has had enough. */
async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => boolean | undefined,
): Promise<boolean> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (onLine(line) === false) return false;
  }
  return rest === "" || onLine(rest) !== false;
}

async function runLight(program: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const child = spawnLight(program, args, options);
  let late = false;
  const timer =
    options.timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          late = true;
          child.kill("SIGKILL");
        }, options.timeoutMs);
  const [stdout, stderr, exitCode] = await Promise.all([textOf(child.stdout), textOf(child.stderr), child.exited]);
  clearTimeout(timer);
  if (late) throw timedOut(program, options.timeoutMs ?? 0);
  return { exitCode, stdout, stderr };
}

function spawnLight(program: string, args: readonly string[], options: RunOptions) {
  try {
    return Bun.spawn([program, ...args], {
      stdio: [
        options.stdin === undefined ? "ignore" : Buffer.from(options.stdin),
        "pipe",
        "pipe",
        ...(options.inheritFd === undefined ? [] : [options.inheritFd]),
      ],
      // Always given: without it the program is looked up in the PATH that we were started with, not in ours now.
      env: { ...(options.env ?? process.env) },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
  } catch (error) {
    if (hasErrno(error, "ENOENT")) throw missing(program, error);
    throw error;
  }
}

async function runWithExeca(program: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const { execa } = await import("execa");
  const result = await execa(program, args, {
    reject: false,
    stripFinalNewline: false,
    input: options.stdin ?? "",
    ...(options.env === undefined ? {} : { env: { ...options.env }, extendEnv: false }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: "SIGKILL" }),
  });
  if (result.timedOut) throw timedOut(program, options.timeoutMs ?? 0);
  if (result.exitCode === undefined && result.signal === undefined) throw missing(program, result.cause);
  return { exitCode: result.exitCode ?? 128, stdout: String(result.stdout ?? ""), stderr: String(result.stderr ?? "") };
}

async function textOf(stream: ReadableStream<Uint8Array> | number | undefined): Promise<string> {
  return stream instanceof ReadableStream ? await new Response(stream).text() : "";
}

function missing(program: string, cause: unknown): TsnetError {
  return new TsnetError(`cannot start ${program}: no such program in PATH; install it`, {
    code: "not-found",
    op: "run",
    errno: "ENOENT",
    cause,
  });
}

function timedOut(program: string, ms: number): TsnetError {
  return new TsnetError(`${program} did not end within ${ms} ms and was killed`, { code: "timeout", op: "run" });
}
