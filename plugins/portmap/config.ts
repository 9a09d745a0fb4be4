/**
 * The portmap plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys and defaults are those of the reference plugin (cni.dev/plugins/current/meta/portmap).
 *
 * @module
 */
import type { ConfigObject, PluginCall } from "../../lib/cni/types.ts";
import { messageOf, TsnetError } from "../../lib/errors.ts";
import type { Backend, PortMapping, Protocol } from "../../lib/firewall/types.ts";
import { parseAddress } from "../../lib/net/address.ts";

export interface PortmapConfig {
  readonly mappings: readonly PortMapping[];
  /** undefined: what works on the host. */
  readonly backend: Backend | undefined;
  readonly snat: boolean;
  readonly masqAll: boolean;
  /** 0 to 31. */
  readonly markMasqBit: number;
  readonly externalSetMarkChain: string | undefined;
  readonly conditionsV4: readonly string[];
  readonly conditionsV6: readonly string[];
}

// Kubernetes takes 14 and 15, Calico 20 to 31.
const DEFAULT_MARK_BIT = 13;

/** Whether the runtime asks for ports at all: without, the plugin has nothing to do. */
export function hasMappings(call: PluginCall): boolean {
  return (call.conf.runtimeConfig.array("portMappings") ?? []).length > 0;
}

/** @throws TsnetError `invalid` naming the key, what it holds and what is allowed. */
export function parseConfig(call: PluginCall): PortmapConfig {
  const { raw, runtimeConfig } = call.conf;
  const bit = raw.integer("markMasqBit");
  const externalSetMarkChain = nonEmpty(raw.string("externalSetMarkChain"));
  if (bit !== undefined && externalSetMarkChain !== undefined) {
    throw invalid("cannot specify externalSetMarkChain and markMasqBit: leave one of them out");
  }
  const config = {
    snat: raw.boolean("snat") ?? true,
    masqAll: raw.boolean("masqAll") ?? false,
    markMasqBit: parseBit(bit),
    externalSetMarkChain,
    conditionsV4: parseConditions(raw, "conditionsV4"),
    conditionsV6: parseConditions(raw, "conditionsV6"),
    mappings: (runtimeConfig.objects("portMappings") ?? []).map(parseMapping),
  };
  return { ...config, backend: parseBackend(nonEmpty(raw.string("backend")), config) };
}

/** The back end alone, for verbs that have to work whatever else the config says. */
export function backendOf(call: PluginCall): Backend | undefined {
  const backend = call.conf.raw.value("backend");
  return backend === "iptables" || backend === "nftables" ? backend : undefined;
}

function parseBit(bit = DEFAULT_MARK_BIT): number {
  if (bit < 0 || bit > 31) throw invalid(`markMasqBit is ${bit}, allowed are 0 to 31`);
  return bit;
}

function parseConditions(raw: ConfigObject, key: string): readonly string[] {
  const conditions = raw.strings(key) ?? [];
  return conditions[0] === "" ? [] : conditions;
}

type Options = Pick<PortmapConfig, "externalSetMarkChain" | "conditionsV4" | "conditionsV6">;

/** Options in the words of one back end exclude the other; without `backend` they choose it. */
function parseBackend(wanted: string | undefined, options: Options): Backend | undefined {
  if (wanted !== undefined && wanted !== "iptables" && wanted !== "nftables") {
    throw invalid(`unrecognized backend ${JSON.stringify(wanted)}, allowed are "iptables" and "nftables"`);
  }
  const specific = { iptables: [] as string[], nftables: [] as string[] };
  if (options.externalSetMarkChain !== undefined) specific.iptables.push("externalSetMarkChain");
  for (const key of ["conditionsV4", "conditionsV6"] as const) {
    if (options[key].length > 0) specific[languageOf(options[key])].push(key);
  }
  const backend = wanted ?? (["iptables", "nftables"] as const).find((name) => specific[name].length > 0);
  const other = backend === "iptables" ? "nftables" : "iptables";
  if (backend !== undefined && specific[other].length > 0) {
    throw invalid(
      `${backend} backend was requested but configuration contains ${other}-specific options [${specific[other].join(" ")}]`,
    );
  }
  return backend;
}

/** Conditions of iptables begin with an option or "!", which none of nftables does. */
function languageOf(conditions: readonly string[]): Backend {
  return /^[-!]/.test(conditions[0] ?? "") ? "iptables" : "nftables";
}

function parseMapping(entry: ConfigObject): PortMapping {
  const hostIp = nonEmpty(entry.string("hostIP"));
  return {
    containerPort: parsePort(entry, "containerPort", "container"),
    hostPort: parsePort(entry, "hostPort", "host"),
    protocol: parseProtocol(entry),
    ...(hostIp === undefined ? {} : { hostIp: parseHostIp(entry, hostIp) }),
  };
}

function parsePort(entry: ConfigObject, key: string, what: string): number {
  const port = entry.integer(key) ?? 0;
  if (port < 1 || port > 65535) {
    throw invalid(`invalid ${what} port number: ${port} (${entry.at}.${key}), allowed are 1 to 65535`);
  }
  return port;
}

function parseProtocol(entry: ConfigObject): Protocol {
  const protocol = (nonEmpty(entry.string("protocol")) ?? "tcp").toLowerCase();
  if (protocol === "tcp" || protocol === "udp" || protocol === "sctp") return protocol;
  throw invalid(`${entry.at}.protocol is ${JSON.stringify(protocol)}, allowed are "tcp", "udp" and "sctp"`);
}

function parseHostIp(entry: ConfigObject, text: string) {
  try {
    return parseAddress(text);
  } catch (error) {
    throw invalid(`${entry.at}.hostIP: ${messageOf(error)}`);
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "portmap config" });
}
