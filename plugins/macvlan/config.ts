/**
 * The macvlan plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys and defaults are those of the reference plugin (cni.dev/plugins/current/main/macvlan).
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import type { MacvlanMode } from "../../lib/netlink/stacked.ts";
import { wantedMac } from "../../lib/plugin/mac.ts";
import { parseStacked, type StackedConfig } from "../../lib/plugin/stacked.ts";

export interface MacvlanConfig extends StackedConfig {
  readonly mode: MacvlanMode;
  /** Canonical; undefined: the kernel's choice, or in mode passthru the master's. */
  readonly mac: string | undefined;
  /** Packets; undefined: the kernel's default. */
  readonly broadcastQueue: number | undefined;
}

const MAX_U32 = 2 ** 32 - 1;

/** @throws TsnetError `invalid` naming the key, what it holds and what is allowed. */
export function parseConfig(call: PluginCall): MacvlanConfig {
  const { raw } = call.conf;
  return {
    ...parseStacked(call),
    mode: parseMode(raw.string("mode")),
    mac: wantedMac(call),
    broadcastQueue: parseQueue(raw.integer("bcqueuelen")),
  };
}

function parseMode(mode = ""): MacvlanMode {
  switch (mode) {
    case "":
      return "bridge";
    case "bridge":
    case "private":
    case "vepa":
    case "passthru":
      return mode;
    default:
      throw invalid(`unknown macvlan mode: ${JSON.stringify(mode)}, allowed are bridge, private, vepa and passthru`);
  }
}

function parseQueue(length = 0): number | undefined {
  if (length < 0 || length > MAX_U32)
    throw invalid(`bcqueuelen is ${length}, allowed are 0 (the default) to ${MAX_U32}`);
  return length === 0 ? undefined : length;
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "macvlan config" });
}
