/**
 * Lines for whoever runs us, on standard error: standard output belongs to results. Not by console.error, which
 * the runtime makes red on a terminal, as if all were lost.
 *
 * @module
 */
import { writeStderr } from "./sys/stdio.ts";

/** Writes one line of warning, `tsnet: warning: ...`. */
export function warn(message: string): void {
  writeStderr(`tsnet: warning: ${message}\n`);
}

/** Writes one line of information. */
export function info(message: string): void {
  writeStderr(`tsnet: ${message}\n`);
}
