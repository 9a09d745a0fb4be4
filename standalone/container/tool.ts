/**
 * A program that does one step of making a container.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { run } from "../../lib/sys/run.ts";

/** Runs `program`, which has to end well. @throws TsnetError `program`: `cannot WHAT: ` and what it said. */
export async function ask(what: string, program: string, args: readonly string[], stdin?: string): Promise<void> {
  const { exitCode, stderr } = await run(program, args, { light: true, ...(stdin === undefined ? {} : { stdin }) });
  if (exitCode === 0) return;
  throw new TsnetError(`cannot ${what}: ${stderr.trim()}`, { code: "program", op: "start container" });
}
