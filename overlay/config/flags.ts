/**
 * From what the command line and the environment gave to what an agent does: {@link OverlaySettings}.
 *
 * @module
 */
import { type Flags, type Given, isOn, listOf, numberOf, readFlags, textOf } from "../../lib/daemon/flags.ts";
import { splitAddress } from "../../lib/daemon/listener.ts";
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { type Address, type Family, parseAddress } from "../../lib/net/address.ts";
import { suggest } from "../../lib/suggest.ts";
import { readSysctl } from "../../lib/sys/files.ts";
import type { OverlaySettings, UnderlaySettings } from "../settings.ts";
import type { Parts } from "../types.ts";
import { type Environment, withEnvironment } from "./environment.ts";
import { FLAGS, type Flag } from "./names.ts";
import { type Complaints, type GivenFlags, sourceOf } from "./source.ts";

/** What settings are read from beside the flags. */
export interface Surroundings {
  readonly environment: Environment;
  readonly hostname: () => string;
}

/** What the command was asked to do. */
export interface Asked {
  readonly settings: OverlaySettings;
  readonly cleanup: boolean;
}

const host: Surroundings = { environment: process.env, hostname: () => readSysctl("kernel/hostname") ?? "" };

/**
 * Settings with every default filled in. `warn` is told, a line each, of what is accepted and changes nothing.
 *
 * @throws TsnetError `usage`, with a line for everything that is wrong.
 */
export function settingsFrom(
  flags: Flags,
  warn: (text: string) => void = () => {},
  { environment, hostname }: Surroundings = host,
): Asked {
  const given: ReadonlyMap<string, Given<Flag>> = readFlags(withEnvironment(flags, environment, warn), FLAGS);
  const problems: string[] = [];
  const complaints: Complaints = { warn, problem: (text) => problems.push(text) };
  for (const { name, flag } of given.values()) {
    if (flag.idle !== undefined) warn(`--${name}: it changes nothing here, ${flag.idle}`);
  }
  const settings: OverlaySettings = {
    source: sourceOf(given, complaints),
    nodeName: nodeNameOf(given, { environment, hostname }, complaints),
    underlay: underlayOf(given, complaints),
    masquerade: isOnUnlessFalse(given, "ip-masq"),
    randomFully: !isOn(given, "ip-masq-fully-random-disable"),
    forwardRules: isOnUnlessFalse(given, "iptables-forward-rules"),
    firewall: oneOf(given, "firewall", ["iptables", "nftables"], complaints),
    ...filesOf(given, complaints),
    healthzAddress: healthzOf(given, complaints),
    metricsAddress: addressAndPort(textOf(given, "metrics-bind-address") ?? "", "--metrics-bind-address", complaints),
    ...periodsOf(given, complaints),
    replaceLease: isOn(given, "replace-lease"),
    blackholeRoute: isOn(given, "ip-blackhole-route"),
    logFormat: oneOf(given, "logging-format", ["text", "json"], complaints) ?? "text",
    verbosity: Math.min(Math.max(numberOf(given, "v") ?? 0, 0), 10),
  };
  if (problems.length > 0) throw new TsnetError(problems.join("\n"), { code: "usage", op: "read flags" });
  return { settings, cleanup: isOn(given, "cleanup") };
}

function nodeNameOf(given: GivenFlags, { environment, hostname }: Surroundings, { problem }: Complaints): string {
  const kube = isOn(given, "kube-subnet-mgr");
  // A pod has its own name for the host's unless it is told, by what flannel calls NODE_NAME too.
  const usual = (kube ? environment.NODE_NAME : undefined) || hostname();
  const name = (textOf(given, "node-name") ?? usual).trim();
  if (name === "") problem("this host has no name: give it one with --node-name");
  // As kubelet registers it.
  return kube ? name.toLowerCase() : name;
}

function underlayOf(given: GivenFlags, complaints: Complaints): UnderlaySettings {
  const expressions = listOf(given, "iface-regex").filter((text) => text !== "");
  for (const text of expressions) {
    try {
      new RegExp(text);
    } catch (error) {
      complaints.problem(`--iface-regex=${text}: ${messageOf(error)}`);
    }
  }
  return {
    interfaces: listOf(given, "iface").filter((text) => text !== ""),
    expressions,
    canReach: addressOf(given, "iface-can-reach", complaints),
    publicAddresses: publicAddressesOf(given, complaints),
  };
}

function publicAddressesOf(given: GivenFlags, complaints: Complaints): Parts<Address> {
  const v4 = addressOf(given, "public-ip", complaints, 4);
  const v6 = addressOf(given, "public-ipv6", complaints, 6);
  return { ...(v4 === undefined ? {} : { 4: v4 }), ...(v6 === undefined ? {} : { 6: v6 }) };
}

function filesOf(
  given: GivenFlags,
  { problem }: Complaints,
): Pick<OverlaySettings, "subnetFile" | "stateDir" | "dataDir" | "conflist"> {
  const path = (name: string, usual: string) => {
    const text = textOf(given, name) ?? usual;
    if (!text.startsWith("/") && !(text === "" && name === "cni-conflist")) {
      problem(`--${name}=${text}: wanted is a path that begins with a slash`);
    }
    return text.replace(/(?<=.)\/+$/, "");
  };
  const name = textOf(given, "cni-network") ?? "tsnet";
  // CNI 1.1.0, section 1, "Plugin configuration objects": the name of a network.
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) {
    problem(`--cni-network=${name}: wanted is a name of letters, digits, dots, dashes and underscores`);
  }
  const bridge = textOf(given, "cni-bridge") ?? "cni0";
  // IFNAMSIZ, linux/if.h.
  if (!/^[^\s/:]{1,15}$/.test(bridge)) problem(`--cni-bridge=${bridge}: wanted is a name of 15 characters at most`);
  return {
    subnetFile: path("subnet-file", "/run/flannel/subnet.env"),
    stateDir: path("state-dir", "/run/tsnet/overlay"),
    dataDir: path("data-dir", "/var/lib/tsnet/overlay"),
    conflist: { path: path("cni-conflist", "/etc/cni/net.d/10-tsnet.conflist"), name, bridge },
  };
}

function healthzOf(given: GivenFlags, complaints: Complaints): string {
  const port = numberOf(given, "healthz-port") ?? 0;
  if (port === 0) return "";
  const ip = textOf(given, "healthz-ip") ?? "0.0.0.0";
  const fits = port > 0 && port <= 65_535;
  if (!fits) complaints.problem(`--healthz-port=${port}: wanted is 0 to 65535`);
  // A port that is wrong is no fault of the address.
  return addressAndPort(`${ip.includes(":") ? `[${ip}]` : ip}:${fits ? port : 1}`, "--healthz-ip", complaints);
}

function addressAndPort(text: string, flag: string, { problem }: Complaints): string {
  if (text === "") return "";
  try {
    splitAddress(text);
  } catch (error) {
    if (!isTsnetError(error, "invalid")) throw error;
    problem(`${flag}: ${messageOf(error)}`);
  }
  return text;
}

function periodsOf(given: GivenFlags, { problem }: Complaints): Pick<OverlaySettings, "comparePeriod" | "probePeriod"> {
  const seconds = numberOf(given, "iptables-resync");
  if (seconds !== undefined && seconds < 1) problem(`--iptables-resync=${seconds}: wanted is 1 at least, in seconds`);
  const comparePeriod = numberOf(given, "compare-period") ?? (seconds === undefined ? 30_000 : seconds * 1000);
  const probePeriod = numberOf(given, "probe-period") ?? 60_000;
  if (comparePeriod < 1000 && seconds === undefined) problem("--compare-period: wanted is 1s at least");
  if (probePeriod < 0 || (probePeriod > 0 && probePeriod < 1000)) {
    problem("--probe-period: wanted is 1s at least, or 0 for never");
  }
  return { comparePeriod, probePeriod };
}

function isOnUnlessFalse(given: GivenFlags, name: string): boolean {
  return given.get(name)?.value !== false;
}

function addressOf(given: GivenFlags, name: string, { problem }: Complaints, family?: Family): Address | undefined {
  const text = textOf(given, name) ?? "";
  if (text === "") return undefined;
  const wanted = family === undefined ? "an IP address" : `an IPv${family} address`;
  try {
    const address = parseAddress(text);
    if (family === undefined || address.family === family) return address;
  } catch (error) {
    if (!isTsnetError(error, "invalid")) throw error;
  }
  problem(`--${name}=${text}: wanted is ${wanted}`);
  return undefined;
}

function oneOf<T extends string>(
  given: GivenFlags,
  name: string,
  known: readonly T[],
  { problem }: Complaints,
): T | undefined {
  const text = textOf(given, name) ?? "";
  if (text === "") return undefined;
  const found = known.find((one) => one === text);
  const meant = found === undefined ? suggest(text, known) : undefined;
  if (found === undefined) {
    problem(
      `--${name}=${text}: wanted is ${known.join(" or ")}${meant === undefined ? "" : `: did you mean ${meant}?`}`,
    );
  }
  return found;
}
