/**
 * The file that `--config` names, watched: a proxy whose configuration has changed ends, and whoever runs it starts
 * it with the new one. Its rules stay meanwhile.
 *
 * By looking, not by inotify: a config map is a link to a link that is swapped, and what is read through it is all
 * that matters. One that cannot be used does not end a proxy that works.
 *
 * @module
 */

import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import { readIfThere } from "../../lib/sys/files.ts";
import { type ProxyFlags, settingsFrom } from "./flags.ts";

export interface ConfigWatchOptions {
  readonly path: string;
  /** The flags that the proxy was started with. */
  readonly flags: ProxyFlags;
  readonly log: Log;
  /** Called once, when the file says something else that can be used. */
  readonly changed: () => void;
  /** How often to look, in ms; 2,000 unless given. */
  readonly every?: number;
  readonly read?: (path: string) => string | undefined;
}

/** Watches until the function that comes back is called. It keeps no process alive. */
export function watchConfig(options: ConfigWatchOptions): () => void {
  const { path, every = 2000, read = readIfThere } = options;
  let seen = read(path);
  const timer = setInterval(() => {
    const text = readOrKeep(read, path, seen);
    if (text === seen) return;
    seen = text;
    if (text === undefined || !isUsable(text, options)) return;
    clearInterval(timer);
    options.log.info("the configuration has changed: ending, to be started anew with it", { file: path });
    options.changed();
  }, every);
  timer.unref();
  return () => clearInterval(timer);
}

/** A file that is being replaced may be away for a moment, or unreadable. */
function readOrKeep(read: (path: string) => string | undefined, path: string, before: string | undefined) {
  try {
    return read(path) ?? before;
  } catch {
    return before;
  }
}

function isUsable(text: string, { flags, log, path }: ConfigWatchOptions): boolean {
  try {
    settingsFrom(flags, undefined, { readFile: () => text, hostname: () => "any" });
    return true;
  } catch (error) {
    log.error("the configuration has changed and cannot be used: going on with the one before", {
      file: path,
      reason: messageOf(error),
    });
    return false;
  }
}
