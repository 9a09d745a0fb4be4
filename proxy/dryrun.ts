/**
 * `--dry-run`: shows the rules that would be put in place, and changes nothing.
 *
 * @module
 */

import type { Log } from "../lib/daemon/log.ts";
import { writeStdout } from "../lib/sys/stdio.ts";
import type { Backend } from "./backend.ts";
import { familyLabel } from "./metrics.ts";
import { awaitsPodCIDR, podCIDRsOf, withBindAddress } from "./node/local.ts";
import type { ProxySettings } from "./settings.ts";
import type { Source } from "./source/source.ts";
import { State } from "./state/state.ts";
import { NodeTap } from "./sync/nodetap.ts";

export interface DryRunOptions {
  readonly settings: ProxySettings;
  readonly log: Log;
  readonly source: Source;
  readonly backends: readonly Backend[];
}

/** Prints every family's rules once all objects are known. Returns the exit code. */
export async function dryRun({ settings, log, source, backends }: DryRunOptions): Promise<number> {
  const state = await synced(settings, log, source, backends);
  await source.stop();
  if (awaitsPodCIDR(settings, state.node)) log.warn("the Node has no podCIDRs: the real proxy would wait for them");
  const { tables } = state.take();
  for (const backend of backends) {
    const table = tables.get(backend.family);
    if (table === undefined) continue;
    writeStdout(`# ${backend.mode} ${familyLabel(backend.family)}\n${backend.render(table).trimEnd()}\n`);
  }
  return 0;
}

function synced(settings: ProxySettings, log: Log, source: Source, backends: readonly Backend[]): Promise<State> {
  return new Promise((resolve) => {
    const { nodeName } = settings;
    const state: State = new State({
      nodeName,
      families: backends.map(({ family }) => family),
      log: (level, message, fields) => {
        if (level === "warn") log.warn(message, { ...fields });
      },
      changed: () => {
        if (state.ready) resolve(state);
      },
      podCIDRs: (node) => podCIDRsOf(settings, node),
      onConnection: (kind, up, reason) => {
        if (up === "down") log.warn("objects are not heard of yet", { kind, reason });
      },
    });
    source.start(new NodeTap({ to: state, nodeName, adjust: (node) => withBindAddress(settings, node) }));
  });
}
