/**
 * `--write-config-to`: the configuration as a file that kube-proxy reads as well as we do.
 *
 * @module
 */
import { stringify } from "yaml";
import type { Log } from "../../lib/daemon/log.ts";
import { replaceFile } from "../../lib/sys/files.ts";
import type { ProxySettings } from "../settings.ts";
import { settingsFrom } from "./flags.ts";
import { KEYS } from "./keys.ts";

/** The text of the file. */
export function configText(settings: ProxySettings): string {
  return stringify(settings.configz);
}

/** Writes the file, and names what no key can say: whoever starts a proxy with the file gives flags for that. */
export function writeConfig(settings: ProxySettings, log: Log): void {
  const path = settings.writeConfigTo;
  replaceFile(path, configText(settings));
  log.info("configuration written", { file: path });
  for (const name of unsaid(settings)) log.warn(`${name} is not in the file: give it as a flag beside --config`);
}

/** The settings that the file would not bring back. */
export function unsaid(settings: ProxySettings): readonly string[] {
  const again = settingsFrom({ config: ["written"] }, undefined, {
    readFile: () => configText(settings),
    hostname: () => settings.nodeName,
  });
  return ASKED.filter(([, of]) => !Bun.deepEquals(of(settings), of(again))).map(([name]) => name);
}

const DEFAULT_QPS = KEYS["clientConnection.qps"].initial;
const DEFAULT_BURST = KEYS["clientConnection.burst"].initial;

const ASKED: readonly (readonly [name: string, of: (settings: ProxySettings) => unknown])[] = [
  ["--manifests", ({ source }) => source.kind],
  ["--master", ({ source }) => (source.kind === "kubernetes" ? source.master : "")],
  ["--kube-api-qps", ({ source }) => (source.kind === "kubernetes" ? source.qps : DEFAULT_QPS)],
  ["--kube-api-burst", ({ source }) => (source.kind === "kubernetes" ? source.burst : DEFAULT_BURST)],
  ["--drop-invalid", ({ dropInvalid }) => dropInvalid],
  ["--flush-tcp", ({ flushTcp }) => flushTcp],
  ["--conntrack-tcp-be-liberal=false", ({ conntrack }) => conntrack.tcpBeLiberal],
  ["--iptables-min-sync-period", ({ minSyncPeriod }) => minSyncPeriod],
  ["--healthz-bind-address", ({ healthzBindAddress }) => healthzBindAddress],
  ["--metrics-bind-address", ({ metricsBindAddress }) => metricsBindAddress],
];
