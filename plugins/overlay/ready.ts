/**
 * Whether containers can be attached: the agent has a subnet, and nothing keeps it from working.
 *
 * The agent need not run. What it wrote last holds until it says otherwise; only what is of another boot does not.
 *
 * @module
 */
import { PluginError } from "../../lib/cni/errors.ts";
import { messageOf, TsnetError } from "../../lib/errors.ts";
import { warn } from "../../lib/log.ts";
import { type AgentTrouble, readTrouble } from "../../lib/overlay/state.ts";
import { readSubnetEnv, type SubnetEnv } from "../../lib/overlay/subnetenv.ts";
import type { OverlayConfig } from "./config.ts";

/**
 * This host's part of the network.
 *
 * @throws TsnetError `busy`, for "try again later", that says what is missing or wrong.
 */
export function requireReady(config: OverlayConfig): SubnetEnv {
  const trouble = troubleIn(config.stateFile);
  if (trouble !== undefined) throw notReady(trouble.message);
  const env = readEnv(config.subnetFile);
  if (env !== undefined) return env;
  throw notReady(
    `this host has no subnet in ${config.subnetFile} yet: start \`tsnet overlay\`, or see what it waits for in \`tsnet overlay status\``,
  );
}

/**
 * The same for STATUS, which tells trouble for new containers from trouble for those that are there.
 *
 * @throws PluginError with the agent's code, 50 or 51; TsnetError `busy`.
 */
export function requireStatus(config: OverlayConfig): SubnetEnv {
  const trouble = troubleIn(config.stateFile);
  if (trouble !== undefined) throw new PluginError(trouble.message, trouble.code);
  return requireReady(config);
}

/** What the file says, if it can be read: removing and checking do without it. */
export function envIfThere(config: OverlayConfig): SubnetEnv | undefined {
  try {
    return readSubnetEnv(config.subnetFile);
  } catch (error) {
    warn(messageOf(error));
    return undefined;
  }
}

function readEnv(path: string): SubnetEnv | undefined {
  try {
    return readSubnetEnv(path);
  } catch (error) {
    // Another program's file may be half written at the moment.
    throw notReady(messageOf(error), error);
  }
}

function troubleIn(path: string): AgentTrouble | undefined {
  try {
    return readTrouble(path);
  } catch (error) {
    // It is not what says that there is no subnet.
    warn(messageOf(error));
    return undefined;
  }
}

function notReady(reason: string, cause?: unknown): TsnetError {
  return new TsnetError(`the overlay takes no containers now: ${reason}`, { code: "busy", op: "overlay", cause });
}
