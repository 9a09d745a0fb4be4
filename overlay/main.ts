/**
 * `tsnet overlay`'s other half, a file of its own in the executable: reads what the flags mean, prints its own errors
 * (an error class of one file is none of another's) and runs.
 *
 * @module
 */
import type { Flags } from "../lib/daemon/flags.ts";
import { type Log, openLog } from "../lib/daemon/log.ts";
import { hasErrno, isTsnetError, messageOf } from "../lib/errors.ts";
import { readIfThere } from "../lib/sys/files.ts";
import { writeStderr } from "../lib/sys/stdio.ts";
import { cleanupOverlay } from "./cleanup.ts";
import { settingsFrom } from "./config/flags.ts";
import { runOverlay } from "./run.ts";
import type { OverlaySettings } from "./settings.ts";

/** Runs until it is told to end, and returns the exit code: 0, 1, or 2 for a command line that cannot be meant. */
export async function main(flags: Flags): Promise<number> {
  try {
    const warnings: string[] = [];
    const { settings, cleanup } = settingsFrom(flags, (text) => warnings.push(text));
    const log = openLog({ format: settings.logFormat, verbosity: settings.verbosity });
    for (const text of warnings) log.warn(text);
    if (cleanup) return await cleanupOverlay(settings, log);
    if (flags.hosts === undefined) sayIfNobodyTells(settings, log);
    return await runOverlay(settings, log);
  } catch (error) {
    const root = hasErrno(error, "EACCES", "EPERM") && process.getuid?.() !== 0 ? " (run it as root)" : "";
    writeStderr(`${`tsnet: ${messageOf(error)}${root}`.replaceAll("\n", "\n  ")}\n`);
    return isTsnetError(error, "usage") ? 2 : 1;
  }
}

/** Who gave no flag and has no file may have meant another source; who has the file on its way may go on. */
function sayIfNobodyTells({ source }: OverlaySettings, log: Log): void {
  if (source.kind !== "static" || readIfThere(source.file) !== undefined) return;
  log.warn("nobody tells of hosts: write that file, or give --hosts, --etcd-endpoints or --kube-subnet-mgr", {
    file: source.file,
  });
}
