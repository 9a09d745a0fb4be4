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
import { parseMasqBackend, parseMtu } from "../../lib/plugin/keys.ts";

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

/** @throws TsnetError `invalid` naming the key, what it holds and what is allowed; `decoding`. */
export function parseConfig(call: PluginCall): PtpConfig {
  const { ipamType, ...rest } = parseRemovalConfig(call);
  const mtu = parseMtu(call.conf.raw);
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
    ipMasqBackend: parseMasqBackend(raw),
    ipamType: raw.object("ipam")?.string("type") || undefined,
  };
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "ptp config" });
}
