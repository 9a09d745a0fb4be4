/**
 * The overlay plugin's own keys, from unknown to typed. They are those of flannel's plugin, whose configs work here
 * with another `type`, and two more: `bridge` and `stateFile`.
 *
 * @module
 */
import { emptyObject } from "../../lib/cni/object.ts";
import type { ConfigObject, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { DEFAULT_DATA_DIR } from "../../lib/ipam/disk.ts";
import { STATE_FILE } from "../../lib/overlay/state.ts";
import { SUBNET_FILE } from "../../lib/overlay/subnetenv.ts";

export interface OverlayConfig {
  /** subnet.env. */
  readonly subnetFile: string;
  /** What the agent tells beside it. */
  readonly stateFile: string;
  /** Where flannel's plugin keeps what it did. */
  readonly flannelDir: string;
  /** Of the plugin that does the work, unless `delegate` says otherwise. */
  readonly bridge: string;
  /** The plugin that does the work. */
  readonly type: string;
  /** Further keys for it. */
  readonly delegate: ConfigObject;
  /** Further keys for the address plugin. */
  readonly ipam: ConfigObject;
  readonly ipamType: string;
  /** Where host-local keeps its networks. */
  readonly ipamDir: string;
}

/** Where flannel's plugin keeps what it did, unless told otherwise. */
export const FLANNEL_DIR = "/var/lib/cni/flannel";

/** All keys, as every verb needs them. @throws TsnetError `decoding` for a value of another type. */
export function parseConfig({ conf: { raw } }: PluginCall): OverlayConfig {
  const delegate = raw.object("delegate") ?? emptyObject("delegate");
  const ipam = raw.object("ipam") ?? emptyObject("ipam");
  return {
    subnetFile: raw.string("subnetFile") || SUBNET_FILE,
    stateFile: raw.string("stateFile") || STATE_FILE,
    flannelDir: raw.string("dataDir") || FLANNEL_DIR,
    bridge: raw.string("bridge") || "cni0",
    type: delegate.string("type") || "bridge",
    delegate,
    ipam,
    ipamType: ipam.string("type") || HOST_LOCAL,
    ipamDir: ipam.string("dataDir") || DEFAULT_DATA_DIR,
  };
}

/**
 * What ADD refuses, and DEL does not: that must not stand in the way of removing what an earlier ADD did.
 *
 * @throws TsnetError `invalid`.
 */
export function checkDelegate({ delegate, type }: OverlayConfig): void {
  for (const key of ["name", "ipam"]) {
    if (!delegate.has(key)) continue;
    throw new TsnetError(
      `delegate.${key} is not yours to set: it follows from the network; leave it out${key === "ipam" ? ", and write ipam beside delegate" : ""}`,
      { code: "invalid", op: "overlay config" },
    );
  }
  if (type === "overlay" || type === "flannel") {
    throw new TsnetError(`delegate.type is ${type}, which would call itself again: leave it out for bridge`, {
      code: "invalid",
      op: "overlay config",
    });
  }
}

export const HOST_LOCAL = "host-local";
