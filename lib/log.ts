/**
 * Lines for whoever runs us, on standard error: standard output belongs to results.
 *
 * @module
 */

/** Writes one line of warning, `tsnet: warning: ...`. */
export function warn(message: string): void {
  console.error(`tsnet: warning: ${message}`);
}

/** Writes one line of information. */
export function info(message: string): void {
  console.error(`tsnet: ${message}`);
}
