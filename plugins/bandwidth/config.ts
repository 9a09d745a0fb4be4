/**
 * The bandwidth plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys are those of the reference plugin (cni.dev/plugins/current/meta/bandwidth): bits a second and bits; ingress is
 * what the container receives. Inside there are only bytes.
 *
 * @module
 */
import type { ConfigObject, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import type { Tbf } from "../../lib/netlink/qdisc.ts";

/** What is shaped; a direction without a limit is left alone. */
export interface Limits {
  /** What the container receives. */
  readonly ingress?: Tbf;
  /** What it sends. */
  readonly egress?: Tbf;
}

/** How long a packet waits at most, once the burst is used up. */
const LATENCY_MS = 25;
const U32_MAX = 0xffff_ffff;
const KEYS = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"] as const;

/**
 * The limits of a call. Where the config names any of the keys, they count as a whole; else the runtime's
 * (`runtimeConfig.bandwidth`).
 *
 * @throws TsnetError `invalid` or `decoding`, naming the key.
 */
export function parseConfig({ conf }: PluginCall): Limits {
  const isStatic = KEYS.some((key) => conf.raw.has(key));
  const from = isStatic ? conf.raw : conf.runtimeConfig.object("bandwidth");
  if (from === undefined) return {};
  const ingress = parseLimit(from, "ingressRate", "ingressBurst");
  const egress = parseLimit(from, "egressRate", "egressBurst");
  return { ...(ingress === undefined ? {} : { ingress }), ...(egress === undefined ? {} : { egress }) };
}

/** Whether there is nothing to shape. */
export function isUnlimited({ ingress, egress }: Limits): boolean {
  return ingress === undefined && egress === undefined;
}

function parseLimit(from: ConfigObject, rateKey: string, burstKey: string): Tbf | undefined {
  const rate = parseBits(from, rateKey);
  const burst = parseBits(from, burstKey);
  if (rate === 0 && burst === 0) return undefined;
  if (burst === 0) throw invalid(`if rate is set, burst must also be set: ${rateKey} without ${burstKey}`);
  if (rate === 0) throw invalid(`if burst is set, rate must also be set: ${burstKey} without ${rateKey}`);
  const [rateBytes, burstBytes] = [Math.floor(rate / 8), Math.floor(burst / 8)];
  if (burstBytes >= U32_MAX) throw invalid(`burst cannot be more than 4GB: ${burstKey} is ${burst} bits`);
  for (const [key, bits] of [
    [rateKey, rate],
    [burstKey, burst],
  ] as const) {
    if (bits < 8) throw invalid(`${key} is ${bits} bits, not even one byte: the kernel counts in bytes`);
  }
  const waiting = Math.floor((rateBytes * LATENCY_MS) / 1000);
  return { rate: rateBytes, burst: burstBytes, limit: Math.min(waiting + burstBytes, U32_MAX) };
}

/** 64 bits without a sign; a rate far beyond any link's may lose the last few. */
function parseBits(from: ConfigObject, key: string): number {
  const bits = from.number(key) ?? 0;
  if (Number.isInteger(bits) && bits >= 0 && bits <= 2 ** 64) return bits;
  throw invalid(`${key} is ${bits}, allowed are whole numbers of bits from 0 to 2^64 - 1`);
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "bandwidth config" });
}
