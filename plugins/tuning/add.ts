/**
 * ADD: a container's interface and its namespace's sysctls as the config wants them. Whatever fails takes back what
 * was done.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { type Link, linkGet } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import { openNetns } from "../../lib/sys/netns.ts";
import { Undo } from "../../lib/undo.ts";
import { checkAllowed } from "./allowlist.ts";
import { applyTuning, readSysctls } from "./apply.ts";
import { type Backup, backupPath, readBackup } from "./backup.ts";
import { parseConfig, type TuningConfig } from "./config.ts";
import { changesLink, planTuning, tunedResult } from "./plan.ts";

export async function add(call: PluginCall): Promise<CniResult> {
  const config = parseConfig(call);
  checkAllowed(config.sysctls);
  const { attachment, conf, ifname } = call;
  const result = conf.prevResult;
  if (result === undefined) {
    throw new TsnetError("Required prevResult missing: tuning comes after a plugin that makes the interface", {
      code: "decoding",
      op: "tuning",
    });
  }
  const netns = openNetns(call.netns);
  const undo = new Undo();
  try {
    using container = RtSocket.open(netns);
    const found = {
      network: attachment.network,
      netns: netns.inode,
      link: findLink(container, call, config),
      sysctls: readSysctls(netns, config.sysctls),
      earlier: earlierBackup(backupPath(config.dataDir, attachment)),
    };
    const plan = planTuning(config, found);
    try {
      applyTuning({ container, netns, attachment, dataDir: config.dataDir }, plan, found, undo);
    } catch (error) {
      throw await undo.unwind(error);
    }
    return tunedResult(result, ifname, plan.link);
  } finally {
    netns.close();
  }
}

function findLink(container: RtSocket, { ifname, netns }: PluginCall, config: TuningConfig): Link | undefined {
  const link = linkGet(container, ifname);
  if (link !== undefined || !changesLink(config)) return link;
  throw new TsnetError(`failed to get ${ifname}: there is no such interface in ${netns}`, {
    code: "not-found",
    op: "tuning",
  });
}

/** One that cannot be read is as good as none, and is written over. */
function earlierBackup(path: string): Backup | undefined {
  try {
    return readBackup(path);
  } catch {
    return undefined;
  }
}
