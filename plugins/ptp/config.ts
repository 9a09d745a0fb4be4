/**
 * The ptp plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys and defaults are those of the reference plugin (cni.dev/plugins/current/main/ptp).
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import type { Backend } from "../../lib/firewall/types.ts";

export interface PtpConfig {
  readonly ipMasq: boolean;
  /** undefined: what works on the host. */
  readonly ipMasqBackend: Backend | undefined;
  /** Bytes, of both ends; undefined: the kernel's default. */
  readonly mtu: number | undefined;
  readonly ipamType: string;
}

/** What tells where the traces of an attachment are. */
export interface RemovalConfig extends Pick<PtpConfig, "ipMasq" | "ipMasqBackend"> {
  readonly ipamType: string | undefined;
}

// The least that IPv4 allows (RFC 791) and the most that a link's MTU can say.
const MIN_MTU = 68;
const MAX_MTU = 65535;

/** @throws TsnetError `invalid` naming the key, what it holds and what is allowed; `decoding`. */
export function parseConfig(call: PluginCall): PtpConfig {
  const { ipamType, ...rest } = parseRemovalConfig(call);
  const mtu = parseMtu(call.conf.raw.integer("mtu"));
  if (ipamType === undefined) throw invalid("ptp needs addresses: set ipam.type to the plugin that gives them");
  return { ...rest, mtu, ipamType };
}

/**
 * The keys of DEL and GC alone: what ADD would refuse elsewhere in the config must not stand in the way of removing
 * what an earlier one did.
 *
 * @throws TsnetError as {@link parseConfig} does.
 */
export function parseRemovalConfig({ conf: { raw } }: PluginCall): RemovalConfig {
  return {
    ipMasq: raw.boolean("ipMasq") ?? false,
    ipMasqBackend: parseBackend(raw.string("ipMasqBackend")),
    ipamType: raw.object("ipam")?.string("type") || undefined,
  };
}

function parseBackend(name: string | undefined): Backend | undefined {
  if (name === undefined || name === "") return undefined;
  if (name === "iptables" || name === "nftables") return name;
  throw invalid(`ipMasqBackend is ${JSON.stringify(name)}, allowed are "iptables" and "nftables"`);
}

function parseMtu(mtu = 0): number | undefined {
  if (mtu === 0) return undefined;
  if (mtu < MIN_MTU || mtu > MAX_MTU)
    throw invalid(`mtu is ${mtu}, allowed are ${MIN_MTU} to ${MAX_MTU}, or 0 for the default`);
  return mtu;
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "ptp config" });
}
