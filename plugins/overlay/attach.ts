/**
 * ADD, CHECK and STATUS.
 *
 * @module
 */
import { delegate } from "../../lib/cni/delegate.ts";
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { parseResultText } from "../../lib/cni/versions.ts";
import { networkOf } from "../../lib/net/cidr.ts";
import type { SubnetEnv } from "../../lib/overlay/subnetenv.ts";
import { checkDelegate, HOST_LOCAL, type OverlayConfig, parseConfig } from "./config.ts";
import { readFlannelConf } from "./flannel.ts";
import { isLeftOver } from "./leftover.ts";
import { delegateConf, type Ground, type PluginConf, passedOn } from "./plan.ts";
import { envIfThere, requireReady, requireStatus } from "./ready.ts";
import { readRecord, withRecord } from "./record.ts";
import { takenBeside } from "./taken.ts";

/** A container's interface on this host's part of the network. */
export async function add(call: PluginCall): Promise<CniResult> {
  const config = parseConfig(call);
  checkDelegate(config);
  const env = requireReady(config);
  const leftOver = config.type === "bridge" && isLeftOver(config.delegate.string("bridge") ?? config.bridge, env);
  const conf = delegateConf(call, config, { ...groundOf(call, config, env), leftOver });
  return withRecord(call.attachment, async (record) => {
    if (!record.wasThere) record.write(conf);
    try {
      const stdout = await delegate("ADD", config.type, withConf(call, conf), record.fd);
      record.write(conf);
      return parseResultText(stdout, call.conf.cniVersion);
    } catch (error) {
      // The working plugin took back what it did. What an earlier ADD of the same interface did still stands.
      if (!record.wasThere) record.remove();
      throw error;
    }
  });
}

/** Whether what ADD made still stands; needs neither agent nor subnet.env. */
export async function check(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  const conf = {
    ...(readRecord(call.attachment) ??
      readFlannelConf(config.flannelDir, call.containerId) ??
      delegateConf(call, config, { env: envIfThere(config), taken: [] })),
    ...passedOn(call),
  };
  await delegate("CHECK", typeOf(conf, config), withConf(call, conf));
}

/** Whether an ADD could succeed: the agent is ready, and so is the working plugin, with an address left. */
export async function status(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  checkDelegate(config);
  const ground = groundOf(call, config, requireStatus(config));
  await delegate("STATUS", config.type, withConf(call, delegateConf(call, config, ground)));
}

/** The call as the working plugin gets it. */
export function withConf(call: PluginCall, conf: PluginConf): PluginCall {
  return { ...call, stdin: JSON.stringify(conf) };
}

/** The plugin that a config is for. */
export function typeOf(conf: PluginConf, config: OverlayConfig): string {
  return typeof conf.type === "string" && conf.type !== "" ? conf.type : config.type;
}

function groundOf(call: PluginCall, config: OverlayConfig, env: SubnetEnv): Ground {
  const subnets = Object.values(env.subnets).map(networkOf);
  return { env, taken: config.ipamType === HOST_LOCAL ? takenBeside(call.conf.name, subnets, config.ipamDir) : [] };
}
