/**
 * What a command line may ask for instead of proxying: one thing, then an end.
 *
 * @module
 */

import type { Log } from "../lib/daemon/log.ts";
import { cleanup } from "./cleanup.ts";
import { writeConfig } from "./config/write.ts";
import { initialise } from "./node/prepare.ts";
import type { ProxySettings } from "./settings.ts";

/** Does it and returns the exit code; undefined if nothing of the kind was asked for. In kube-proxy's order. */
export async function runTask(settings: ProxySettings, log: Log): Promise<number | undefined> {
  if (settings.writeConfigTo !== "") {
    writeConfig(settings, log);
    return 0;
  }
  if (settings.cleanup) return cleanup(log);
  if (settings.initOnly) {
    await initialise(settings, log);
    return 0;
  }
  return undefined;
}
