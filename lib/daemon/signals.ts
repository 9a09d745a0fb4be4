/**
 * Being told to end.
 *
 * @module
 */

/** Resolves when we are told to end, by SIGTERM or SIGINT; a second signal then ends the process at once. */
export function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, resolve);
  });
}
