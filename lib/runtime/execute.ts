/**
 * Calling one plugin: a process with its config on standard input and the protocol in its environment.
 *
 * @module
 */
import { hasErrno } from "../errors.ts";
import { type RunResult, run } from "../sys/run.ts";

/** What a plugin is started with. */
export interface Execution {
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: string;
  /** A descriptor that the plugin keeps open: the network's lock. */
  readonly inheritFd?: number;
}

/** Runs a plugin to its end; a non-zero exit is a result. */
export type Executor = (execution: Execution) => Promise<RunResult>;

/** How often, and after how many milliseconds, a plugin whose file is just being written is tried again. */
const BUSY_TRIES = 5;
const BUSY_PAUSE = 200;

/** Runs a plugin as a process. */
export async function executeByProcess({ path, ...options }: Execution): Promise<RunResult> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await run(path, [], { ...options, light: true });
    } catch (error) {
      if (!hasErrno(error, "ETXTBSY") || tries === BUSY_TRIES) throw error;
      await Bun.sleep(BUSY_PAUSE);
    }
  }
}
