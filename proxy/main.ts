/**
 * `tsnet proxy`'s other half, a file of its own in the executable: reads what the flags mean, prints its own errors
 * (an error class of one file is none of another's) and runs.
 *
 * @module
 */

import { type Log, openLog } from "../lib/daemon/log.ts";
import { isTsnetError, messageOf } from "../lib/errors.ts";
import { writeStderr } from "../lib/sys/stdio.ts";
import { type ProxyFlags, settingsFrom } from "./config/flags.ts";
import { watchConfig } from "./config/watch.ts";
import { runProxy } from "./run.ts";
import type { ProxySettings } from "./settings.ts";
import { runTask } from "./tasks.ts";

/** Runs until it is told to end, and returns the exit code: 0, 1, or 2 for a command line that cannot be meant. */
export async function main(flags: ProxyFlags): Promise<number> {
  try {
    const warnings: string[] = [];
    const settings = settingsFrom(flags, (text) => warnings.push(text));
    const log = openLog({ format: settings.logFormat, verbosity: settings.verbosity });
    for (const text of warnings) log.warn(text);
    const done = await runTask(settings, log);
    return done ?? (await runProxy(settings, log, { replaced: configChanged(settings, flags, log) }));
  } catch (error) {
    writeStderr(`tsnet: ${messageOf(error).replaceAll("\n", "\n  ")}\n`);
    return isTsnetError(error, "usage") ? 2 : 1;
  }
}

/** Resolves when the file that `--config` names says something else that can be used. */
function configChanged({ configFile: path }: ProxySettings, flags: ProxyFlags, log: Log): Promise<false> {
  return new Promise((resolve) => {
    if (path !== "") watchConfig({ path, flags, log, changed: () => resolve(false) });
  });
}
