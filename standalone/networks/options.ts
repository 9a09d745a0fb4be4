/**
 * Driver options of `docker network create -o`, by their long names and podman's short ones. Pure.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import type { NetworkOptions } from "../file/project.ts";
import { parseLabel } from "../file/rules.ts";

export interface DriverOptions {
  readonly bridge?: string;
  readonly mtu?: number;
  readonly masquerade?: boolean;
  /** Those that the bridge plugin takes. */
  readonly rest: NetworkOptions;
}

type Reader = (value: string) => Partial<DriverOptions>;

const READERS: Readonly<Record<string, Reader>> = {
  "com.docker.network.bridge.name": (bridge) => ({ bridge }),
  "com.docker.network.driver.mtu": (value) => ({ mtu: numberOf(value, 68, 65535) }),
  mtu: (value) => ({ mtu: numberOf(value, 68, 65535) }),
  "com.docker.network.bridge.enable_ip_masquerade": (value) => ({ masquerade: switchOf(value) }),
  // Containers of one network that do not reach each other: ports of the bridge that are isolated.
  "com.docker.network.bridge.enable_icc": (value) => (switchOf(value) ? {} : { rest: { portIsolation: true } }),
  isolate: (value) => {
    if (!switchOf(value)) throw new Error("write --no-isolation");
    return {};
  },
  vlan: (value) => ({ rest: { vlan: numberOf(value, 1, 4094) } }),
  backend: (value) => {
    if (value !== "iptables" && value !== "nftables") throw new Error("allowed are iptables and nftables");
    return { rest: { backend: value } };
  },
};

/** Reads `KEY=VALUE` each. @throws TsnetError `usage`. */
export function driverOptions(texts: readonly string[]): DriverOptions {
  let all: DriverOptions = { rest: {} };
  for (const text of texts) {
    const [key, value] = parseLabel(text);
    const reader = Object.hasOwn(READERS, key) ? READERS[key] : undefined;
    if (reader === undefined)
      throw usage(`--opt ${text}: unknown option; there are ${Object.keys(READERS).join(", ")}`);
    try {
      const read = reader(value);
      all = { ...all, ...read, rest: { ...all.rest, ...read.rest } };
    } catch (error) {
      throw usage(`--opt ${text}: ${error instanceof Error ? error.message : error}`);
    }
  }
  return all;
}

function switchOf(value: string): boolean {
  if (/^(true|1)$/i.test(value)) return true;
  if (/^(false|0)$/i.test(value)) return false;
  throw new Error("write true or false");
}

function numberOf(value: string, least: number, most: number): number {
  if (/^\d{1,6}$/.test(value) && Number(value) >= least && Number(value) <= most) return Number(value);
  throw new Error(`write a number from ${least} to ${most}`);
}

function usage(message: string): TsnetError {
  return new TsnetError(message, { code: "usage", op: "network create" });
}
