/**
 * A configuration that was found good, and the flags that no key can say, as {@link ProxySettings}.
 *
 * @module
 */
import { type Given, isOn, textOf } from "../../lib/daemon/flags.ts";
import { TsnetError } from "../../lib/errors.ts";
import { nodeName } from "../node/name.ts";
import type { DetectLocalMode, ProxySettings } from "../settings.ts";
import type { Configuration } from "./configuration.ts";
import { clusterCIDRs, DETECT_LOCAL_MODES, MODES } from "./validate.ts";

/**
 * @param configFile The file that `config` is from; empty: none.
 * @throws TsnetError `usage` for flags that do not go together; `invalid` if the node has no name.
 */
export function settle(
  config: Configuration,
  given: ReadonlyMap<string, Given>,
  configFile: string,
  hostname: () => string,
): ProxySettings {
  const mode = MODES.find((known) => known === config.text("mode"));
  const section = mode ?? "iptables";
  const nodePorts = config.list("nodePortAddresses");
  return {
    source: sourceOf(config, given),
    nodeName: nodeName(config.text("hostnameOverride"), hostname),
    mode,
    bindAddress: config.text("bindAddress"),
    minSyncPeriod: config.number(`${section}.minSyncPeriod`),
    syncPeriod: config.number(`${section}.syncPeriod`),
    masqueradeAll: config.bool(`${section}.masqueradeAll`),
    masqueradeBit: config.number(`${section}.masqueradeBit`),
    localhostNodePorts: config.bool("iptables.localhostNodePorts"),
    dropInvalid: isOn(given, "drop-invalid"),
    detectLocalMode: detectLocalMode(config),
    clusterCIDRs: clusterCIDRs(config),
    bridgeInterface: config.text("detectLocal.bridgeInterface"),
    interfaceNamePrefix: config.text("detectLocal.interfaceNamePrefix"),
    nodePortAddresses: nodePorts.length === 0 ? undefined : nodePorts,
    conntrack: conntrackOf(config),
    healthzBindAddress: config.text("healthzBindAddress"),
    metricsBindAddress: config.text("metricsBindAddress"),
    bindAddressHardFail: config.bool("bindAddressHardFail"),
    showHiddenMetrics: config.text("showHiddenMetricsForVersion") !== "",
    verbosity: Math.min(config.number("logging.verbosity"), 10),
    logFormat: config.text("logging.format") === "json" ? "json" : "text",
    flushTcp: isOn(given, "flush-tcp"),
    initOnly: isOn(given, "init-only"),
    dryRun: isOn(given, "dry-run"),
    cleanup: isOn(given, "cleanup"),
    writeConfigTo: textOf(given, "write-config-to") ?? "",
    configFile,
    oomScoreAdj: config.number("oomScoreAdj"),
    configz: config.toObject(),
  };
}

function sourceOf(config: Configuration, given: ReadonlyMap<string, Given>): ProxySettings["source"] {
  const directory = textOf(given, "manifests");
  const once = isOn(given, "once");
  if (directory !== undefined && directory !== "") return { kind: "manifests", directory, once };
  if (once) throw new TsnetError("--once goes with --manifests DIR alone", { code: "usage", op: "read flags" });
  return {
    kind: "kubernetes",
    kubeconfig: config.text("clientConnection.kubeconfig"),
    master: textOf(given, "master") ?? "",
    qps: config.number("clientConnection.qps"),
    burst: config.number("clientConnection.burst"),
  };
}

function detectLocalMode(config: Configuration): DetectLocalMode {
  return DETECT_LOCAL_MODES.find((known) => known === config.text("detectLocalMode")) ?? "ClusterCIDR";
}

/** Where 0 leaves the kernel's value, it is undefined. */
function conntrackOf(config: Configuration): ProxySettings["conntrack"] {
  const set = (value: number) => (value === 0 ? undefined : value);
  return {
    maxPerCore: set(config.number("conntrack.maxPerCore")),
    min: set(config.number("conntrack.min")),
    tcpEstablishedTimeout: set(config.number("conntrack.tcpEstablishedTimeout")),
    tcpCloseWaitTimeout: set(config.number("conntrack.tcpCloseWaitTimeout")),
    udpTimeout: set(config.number("conntrack.udpTimeout")),
    udpStreamTimeout: set(config.number("conntrack.udpStreamTimeout")),
    tcpBeLiberal: config.bool("conntrack.tcpBeLiberal"),
  };
}
