/**
 * What is wrong with a configuration as a whole: all of it at once, each with its path.
 *
 * @module
 */
import { parseCidr } from "../../lib/net/cidr.ts";
import { suggest } from "../../lib/suggest.ts";
import { type Configuration, isAddress } from "./configuration.ts";
import type { PathOf } from "./keys.ts";

export const MODES = ["iptables", "nftables"] as const;
export const DETECT_LOCAL_MODES = ["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"] as const;
const FORMATS = ["text", "json"] as const;

/** One line for each problem, `path: what is there, what is allowed`; none if it can be used. */
export function problemsOf(config: Configuration): readonly string[] {
  return [
    ...modeProblems(config),
    ...oneOf(config, "detectLocalMode", DETECT_LOCAL_MODES),
    ...oneOf(config, "logging.format", FORMATS),
    ...rangeProblems(config),
    ...periodProblems(config),
    ...addressProblems(config),
    ...localProblems(config),
  ];
}

function modeProblems(config: Configuration): readonly string[] {
  const mode = config.text("mode");
  if (mode !== "ipvs") return mode === "" ? [] : oneOf(config, "mode", MODES);
  return ["mode: ipvs is not there (nor in Kubernetes for long): choose nftables, which is as fast, or iptables"];
}

function oneOf(config: Configuration, path: PathOf<"text">, allowed: readonly string[]): readonly string[] {
  const text = config.text(path);
  if (allowed.includes(text)) return [];
  const meant = suggest(text, allowed);
  const hint = meant === undefined ? "" : `: did you mean ${meant}?`;
  return [`${path}: ${JSON.stringify(text)} is not one of ${allowed.join(", ")}${hint}`];
}

function rangeProblems(config: Configuration): readonly string[] {
  const within = (path: PathOf<"int" | "float" | "duration">, least: number, most: number, range: string) => {
    const value = config.number(path);
    return value >= least && value <= most ? [] : [`${path}: ${value} is not ${range}`];
  };
  const durations = [
    "conntrack.tcpEstablishedTimeout",
    "conntrack.tcpCloseWaitTimeout",
    "conntrack.udpTimeout",
    "conntrack.udpStreamTimeout",
  ] as const;
  return [
    ...(["iptables.masqueradeBit", "nftables.masqueradeBit"] as const).flatMap((path) =>
      within(path, 0, 31, "within 0 to 31"),
    ),
    ...within("oomScoreAdj", -1000, 1000, "within -1000 to 1000"),
    ...(["conntrack.maxPerCore", "conntrack.min", "clientConnection.burst", "logging.verbosity"] as const).flatMap(
      (path) => within(path, 0, Number.POSITIVE_INFINITY, "0 or more"),
    ),
    ...durations.flatMap((path) => within(path, 0, Number.POSITIVE_INFINITY, "0 or more")),
    ...within("configSyncPeriod", Number.MIN_VALUE, Number.POSITIVE_INFINITY, "more than 0"),
  ];
}

/** Of the mode's own periods: those of the other one are not looked at. */
function periodProblems(config: Configuration): readonly string[] {
  const section = config.text("mode") === "nftables" ? "nftables" : "iptables";
  const sync = config.number(`${section}.syncPeriod`);
  const least = config.number(`${section}.minSyncPeriod`);
  return [
    ...(sync > 0 ? [] : [`${section}.syncPeriod: it is not more than 0`]),
    ...(least >= 0 ? [] : [`${section}.minSyncPeriod: it is less than 0`]),
    ...(least <= sync ? [] : [`${section}.syncPeriod: it is less than ${section}.minSyncPeriod`]),
  ];
}

function addressProblems(config: Configuration): readonly string[] {
  const bind = config.text("bindAddress");
  const nodePorts = config.list("nodePortAddresses");
  return [
    ...(isAddress(bind) ? [] : [`bindAddress: ${JSON.stringify(bind)} is no IP address`]),
    ...(["healthzBindAddress", "metricsBindAddress"] as const).flatMap((path) => {
      const text = config.text(path);
      return text === "" || isServable(text) ? [] : [`${path}: ${JSON.stringify(text)} is no ADDRESS:PORT`];
    }),
    ...(nodePorts.includes("primary") && nodePorts.length > 1
      ? ["nodePortAddresses: primary does not go with others"]
      : []),
    ...nodePorts.flatMap((text, at) =>
      text === "primary" || isCidr(text) ? [] : [`nodePortAddresses[${at}]: ${JSON.stringify(text)} is no CIDR`],
    ),
  ];
}

/** What the detect-local mode needs. A ClusterCIDR that is missing only means that all is masqueraded as from outside. */
function localProblems(config: Configuration): readonly string[] {
  switch (config.text("detectLocalMode")) {
    case "BridgeInterface":
      return config.text("detectLocal.bridgeInterface") === ""
        ? ["detectLocal.bridgeInterface: detectLocalMode BridgeInterface needs it"]
        : [];
    case "InterfaceNamePrefix":
      return config.text("detectLocal.interfaceNamePrefix") === ""
        ? ["detectLocal.interfaceNamePrefix: detectLocalMode InterfaceNamePrefix needs it"]
        : [];
    case "ClusterCIDR":
      return clusterCidrProblems(clusterCIDRs(config));
    default:
      return [];
  }
}

/** `clusterCIDR` apart at its comma. */
export function clusterCIDRs(config: Configuration): readonly string[] {
  const text = config.text("clusterCIDR");
  return text === "" ? [] : text.split(",");
}

function clusterCidrProblems(cidrs: readonly string[]): readonly string[] {
  const wrong = cidrs.filter((text) => !isCidr(text));
  if (wrong.length > 0) return wrong.map((text) => `clusterCIDR: ${JSON.stringify(text)} is no CIDR`);
  const families = new Set(cidrs.map((text) => parseCidr(text).address.family));
  return families.size === cidrs.length ? [] : ["clusterCIDR: one CIDR, or one of each family"];
}

function isCidr(text: string): boolean {
  try {
    parseCidr(text);
    return true;
  } catch {
    return false;
  }
}

/** `127.0.0.1:10249`, `[::]:10256`. */
function isServable(text: string): boolean {
  const [, bracketed, bare, port = ""] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  return isAddress(bracketed ?? bare ?? "") && Number(port) >= 1 && Number(port) <= 65_535;
}
