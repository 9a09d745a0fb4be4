/**
 * Before anything is programmed: which mode, which families, the sysctls.
 *
 * @module
 */
import type { Log } from "../../lib/daemon/log.ts";
import type { ProxySettings } from "../settings.ts";
import { backendSettings } from "./backend.ts";
import { type Ability, chooseMode } from "./mode.ts";
import { adjustOomScore } from "./oom.ts";
import { openLocalhost, setConntrack } from "./sysctls.ts";

/**
 * Finds out what works here and, unless nothing is to be changed, sets up this process and connection tracking.
 *
 * @throws TsnetError `kernel-lacks` if the mode does not work.
 */
export async function prepareNode(settings: ProxySettings, log: Log): Promise<Ability> {
  const ability = await chooseMode(settings.mode);
  for (const reason of ability.lacks) log.warn(`going on without: ${reason}`);
  log.info("mode chosen", { mode: ability.mode, families: ability.families, asked: settings.mode });
  if (settings.dryRun) return ability;
  adjustOomScore(settings.oomScoreAdj, log);
  setConntrack(settings.conntrack, log);
  return ability;
}

/** `--init-only`: all that takes more than CAP_NET_ADMIN, for a proxy that is started without it afterwards. */
export async function initialise(settings: ProxySettings, log: Log): Promise<void> {
  const { mode, families } = await prepareNode(settings, log);
  if (settings.dryRun || !families.includes(4)) return;
  if (backendSettings(settings, mode, 4).localhostNodePorts) openLocalhost(log);
}
