/**
 * The firewall plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys and defaults are those of the reference plugin (cni.dev/plugins/current/meta/firewall); its back ends are
 * iptables and firewalld, nftables is ours.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import type { Backend, IngressPolicy } from "../../lib/firewall/types.ts";

export interface FirewallConfig {
  /** undefined: firewalld where it runs, else what works on the host. */
  readonly backend: Backend | "firewalld" | undefined;
  readonly adminChain: string;
  readonly firewalldZone: string;
  readonly ingress: IngressPolicy;
}

/** @throws TsnetError `invalid` or `decoding`, naming the key, what it holds and what is allowed. */
export function parseConfig({ conf: { raw } }: PluginCall): FirewallConfig {
  return {
    backend: parseBackend(nonEmpty(raw.string("backend"))),
    adminChain: parseAdminChain(nonEmpty(raw.string("iptablesAdminChainName")) ?? "CNI-ADMIN"),
    firewalldZone: parseZone(nonEmpty(raw.string("firewalldZone")) ?? "trusted"),
    ingress: parseIngress(nonEmpty(raw.string("ingressPolicy")) ?? "open"),
  };
}

/** The back end alone, for verbs that have to work whatever else the config says. */
export function backendOf({ conf: { raw } }: PluginCall): FirewallConfig["backend"] {
  const backend = raw.value("backend");
  return BACKENDS.find((one) => one === backend);
}

const BACKENDS = ["iptables", "nftables", "firewalld"] as const;
const POLICIES = ["open", "same-bridge", "isolated"] as const;

function parseBackend(wanted: string | undefined): FirewallConfig["backend"] {
  const backend = BACKENDS.find((one) => one === wanted);
  if (wanted !== undefined && backend === undefined) {
    throw invalid(`unrecognized backend ${JSON.stringify(wanted)}, allowed are ${quoted(BACKENDS)}`);
  }
  return backend;
}

function parseIngress(wanted: string): IngressPolicy {
  const policy = POLICIES.find((one) => one === wanted);
  if (policy === undefined) {
    throw invalid(`unknown ingress policy: ${JSON.stringify(wanted)} (ingressPolicy), allowed are ${quoted(POLICIES)}`);
  }
  return policy;
}

/** Names that both iptables and nft take, and that are no chain or target of iptables' or of ours. */
function parseAdminChain(name: string): string {
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,27}$/.test(name)) {
    throw invalid(
      `iptablesAdminChainName is ${JSON.stringify(name)}: a chain's name begins with a letter and has at most 28 letters, digits, "-" and "_"`,
    );
  }
  if (RESERVED.has(name) || /^(?:TSNET-|if-|published$|admin$|forward$|masquerade-|publish-)/.test(name)) {
    throw invalid(`iptablesAdminChainName is ${name}, which is not an administrator's to write to: choose another`);
  }
  return name;
}

const RESERVED: ReadonlySet<string> = new Set([
  ...["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"],
  ...["ACCEPT", "DROP", "REJECT", "RETURN", "QUEUE", "LOG", "MARK", "DNAT", "SNAT", "MASQUERADE", "REDIRECT"],
]);

/** firewalld's own rule for names of zones. */
function parseZone(zone: string): string {
  if (/^[A-Za-z0-9_/-]+$/.test(zone)) return zone;
  throw invalid(`firewalldZone is ${JSON.stringify(zone)}: the name of a zone has letters, digits, "_" and "-"`);
}

function quoted(words: readonly string[]): string {
  return words.map((word) => JSON.stringify(word)).join(", ");
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "firewall config" });
}
