/**
 * The tap plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys and defaults are those of the reference plugin (cni.dev/plugins/current/main/tap).
 *
 * @module
 */
import { isInterfaceName } from "../../lib/cni/names.ts";
import type { PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { ipamTypeOf } from "../../lib/plugin/interface.ts";
import { wantedMac } from "../../lib/plugin/mac.ts";

export interface TapConfig {
  readonly multiQueue: boolean;
  /** Bytes; undefined: the kernel's default. */
  readonly mtu: number | undefined;
  /** Canonical; undefined: the kernel's choice. */
  readonly mac: string | undefined;
  /** Who may open it beside root, by number. */
  readonly owner: number | undefined;
  readonly group: number | undefined;
  /** The label that the device gets, such as `system_u:system_r:container_t:s0`. */
  readonly selinuxContext: string | undefined;
  /** A bridge in the container that it is a port of. */
  readonly bridge: string | undefined;
  readonly ipamType: string | undefined;
}

// The least that IPv4 allows (RFC 791), and the kernel's own MAX_MTU of drivers/net/tun.c, less an Ethernet header.
const MIN_MTU = 68;
const MAX_MTU = 65521;
// The last one means "none" to the kernel.
const MAX_ID = 2 ** 32 - 2;

/** @throws TsnetError `invalid` naming the key, what it holds and what is allowed. */
export function parseConfig(call: PluginCall): TapConfig {
  const { raw } = call.conf;
  const context = raw.string("selinuxContext");
  return {
    multiQueue: raw.boolean("multiQueue") ?? false,
    mtu: parseMtu(raw.integer("mtu")),
    mac: wantedMac(call),
    owner: parseId("owner", raw.integer("owner")),
    group: parseId("group", raw.integer("group")),
    selinuxContext: context === "" ? undefined : context,
    bridge: parseBridge(raw.string("bridge")),
    ipamType: ipamTypeOf(call),
  };
}

function parseMtu(mtu = 0): number | undefined {
  if (mtu === 0) return undefined;
  if (mtu < MIN_MTU || mtu > MAX_MTU)
    throw invalid(`mtu is ${mtu}, allowed are ${MIN_MTU} to ${MAX_MTU}, or 0 for the default`);
  return mtu;
}

function parseId(key: string, id: number | undefined): number | undefined {
  if (id !== undefined && (id < 0 || id > MAX_ID)) throw invalid(`${key} is ${id}, allowed are 0 to ${MAX_ID}`);
  return id;
}

function parseBridge(name = ""): string | undefined {
  if (name !== "" && !isInterfaceName(name))
    throw invalid(`bridge ${JSON.stringify(name)} is no interface name: at most 15 bytes, without "/", ":" and space`);
  return name === "" ? undefined : name;
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "tap config" });
}
