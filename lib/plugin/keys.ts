/**
 * Keys that several plugins have alike, from unknown to typed.
 *
 * @module
 */
import type { ConfigObject } from "../cni/types.ts";
import { TsnetError } from "../errors.ts";
import type { Backend } from "../firewall/types.ts";

// The least that IPv4 allows (RFC 791) and the most that a link's MTU can say.
const MIN_MTU = 68;
const MAX_MTU = 65535;

/** `mtu`, in bytes; undefined for the kernel's default. @throws TsnetError `invalid`, `decoding`. */
export function parseMtu(raw: ConfigObject): number | undefined {
  const mtu = raw.integer("mtu") ?? 0;
  if (mtu === 0) return undefined;
  if (mtu < MIN_MTU || mtu > MAX_MTU)
    throw invalid(`mtu is ${mtu}, allowed are ${MIN_MTU} to ${MAX_MTU}, or 0 for the default`);
  return mtu;
}

/** `ipMasqBackend`; undefined for what works on the host. @throws TsnetError `invalid`, `decoding`. */
export function parseMasqBackend(raw: ConfigObject): Backend | undefined {
  const name = raw.string("ipMasqBackend");
  if (name === undefined || name === "") return undefined;
  if (name === "iptables" || name === "nftables") return name;
  throw invalid(`ipMasqBackend is ${JSON.stringify(name)}, allowed are "iptables" and "nftables"`);
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "read config" });
}
