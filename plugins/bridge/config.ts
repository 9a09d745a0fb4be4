/**
 * The bridge plugin's own keys, from unknown to typed, before anything is touched.
 *
 * Keys and defaults are those of the reference plugin (cni.dev/plugins/current/main/bridge).
 *
 * @module
 */
import { parseCniArgs } from "../../lib/cni/args.ts";
import type { ConfigObject, NetConf, PluginCall } from "../../lib/cni/types.ts";
import { TsnetError } from "../../lib/errors.ts";
import { parseMasqBackend, parseMtu } from "../../lib/plugin/keys.ts";
import { interfaceMac } from "../../lib/plugin/mac.ts";

/** VLAN ids `first` to `last`, 1 to 4094. */
export interface VlanIds {
  readonly first: number;
  readonly last: number;
}

export interface BridgeConfig {
  readonly bridge: string;
  /** The bridge carries the networks' gateway addresses and the host forwards. */
  readonly isGateway: boolean;
  readonly isDefaultGateway: boolean;
  readonly forceAddress: boolean;
  readonly ipMasq: boolean;
  /** undefined: what works on the host. */
  readonly ipMasqBackend: "iptables" | "nftables" | undefined;
  /** Bytes; undefined: the kernel's default. */
  readonly mtu: number | undefined;
  readonly hairpin: boolean;
  readonly promisc: boolean;
  /** Untagged VLAN of the port, 1 to 4094. */
  readonly vlan: number | undefined;
  readonly vlanTrunk: readonly VlanIds[];
  readonly preserveDefaultVlan: boolean;
  readonly macSpoofCheck: boolean;
  /** Whether IPv6 addresses go through duplicate address detection. */
  readonly enableDad: boolean;
  readonly disableContainerInterface: boolean;
  readonly portIsolation: boolean;
  /** Of the container's interface, canonical. */
  readonly mac: string | undefined;
  /** Undefined where the network has no addresses (a plain layer 2 attachment). */
  readonly ipamType: string | undefined;
}

/** What tells where the traces of an attachment are. */
export type RemovalConfig = Pick<BridgeConfig, "bridge" | "ipMasq" | "ipMasqBackend" | "macSpoofCheck" | "ipamType">;

const MAX_VLAN = 4094;

/**
 * @throws TsnetError `invalid` naming the key, what it holds and what is allowed.
 */
export function parseConfig(call: PluginCall): BridgeConfig {
  const raw = call.conf.raw;
  const isDefaultGateway = raw.boolean("isDefaultGateway") ?? false;
  const config: BridgeConfig = {
    ...parseRemovalConfig(call),
    isGateway: isDefaultGateway || (raw.boolean("isGateway") ?? false),
    isDefaultGateway,
    forceAddress: raw.boolean("forceAddress") ?? false,
    mtu: parseMtu(raw),
    hairpin: raw.boolean("hairpinMode") ?? false,
    promisc: raw.boolean("promiscMode") ?? false,
    vlan: parseVlan(raw.integer("vlan"), "vlan"),
    vlanTrunk: (raw.objects("vlanTrunk") ?? []).flatMap(parseTrunk),
    preserveDefaultVlan: raw.boolean("preserveDefaultVlan") ?? false,
    enableDad: raw.boolean("enabledad") ?? false,
    disableContainerInterface: raw.boolean("disableContainerInterface") ?? false,
    portIsolation: raw.boolean("portIsolation") ?? false,
    mac: parseMacOf(call),
  };
  if (config.hairpin && config.promisc) {
    throw invalid("cannot set hairpinMode and promiscMode at the same time: leave one of them out");
  }
  if (config.disableContainerInterface && config.ipamType !== undefined) {
    throw invalid(
      "disableContainerInterface leaves the interface down, so ipam cannot give it addresses: leave one of them out",
    );
  }
  return config;
}

/**
 * The keys of DEL and GC alone: what ADD would refuse elsewhere in the config, or in the caller's arguments, must not
 * stand in the way of removing what an earlier one did.
 *
 * @throws TsnetError `invalid` as {@link parseConfig} does.
 */
export function parseRemovalConfig({ conf: { raw } }: PluginCall): RemovalConfig {
  const ipamType = raw.object("ipam")?.string("type");
  return {
    bridge: parseBridgeName(raw.string("bridge")),
    ipMasq: raw.boolean("ipMasq") ?? false,
    ipMasqBackend: parseMasqBackend(raw),
    macSpoofCheck: raw.boolean("macspoofchk") ?? false,
    ipamType: ipamType === "" ? undefined : ipamType,
  };
}

function parseBridgeName(name = "cni0"): string {
  if (name === "" || Buffer.byteLength(name) > 15 || name === "." || name === ".." || /[/:\s]/.test(name)) {
    throw invalid(
      `bridge ${JSON.stringify(name)} is no interface name: at most 15 bytes, without "/", ":" and white space`,
    );
  }
  return name;
}

function parseVlan(id: number | undefined, key: string): number | undefined {
  if (id === undefined || id === 0) return undefined;
  if (id < 0 || id > MAX_VLAN) throw invalid(`${key} is ${id}, allowed are 0 (none) to ${MAX_VLAN}`);
  return id;
}

function parseTrunk(entry: ConfigObject): readonly VlanIds[] {
  const [id, minID, maxID] = [entry.integer("id"), entry.integer("minID"), entry.integer("maxID")];
  if ((minID === undefined) !== (maxID === undefined)) throw invalid(`${entry.at}: minID and maxID go together`);
  const ranges: VlanIds[] = [];
  if (minID !== undefined && maxID !== undefined)
    ranges.push({ first: trunkId(entry, "minID", minID), last: trunkId(entry, "maxID", maxID) });
  if (id !== undefined) ranges.push({ first: trunkId(entry, "id", id), last: id });
  if (ranges.length === 0) throw invalid(`${entry.at} has neither id nor minID and maxID`);
  for (const { first, last } of ranges)
    if (first > last) throw invalid(`${entry.at}: minID ${first} is above maxID ${last}`);
  return ranges;
}

function trunkId(entry: ConfigObject, key: string, id: number): number {
  if (id < 1 || id > MAX_VLAN) throw invalid(`${entry.at}.${key} is ${id}, allowed are 1 to ${MAX_VLAN}`);
  return id;
}

/** runtimeConfig.mac comes before args.cni.mac, and that before CNI_ARGS' MAC. */
function parseMacOf(call: PluginCall): string | undefined {
  const fromArgs = call.args === "" ? undefined : parseCniArgs(call.args, ["MAC"]).get("MAC");
  const text = call.conf.runtimeConfig.string("mac") ?? argsCni(call.conf)?.string("mac") ?? fromArgs;
  return text === undefined || text === "" ? undefined : interfaceMac(text);
}

function argsCni(conf: NetConf): ConfigObject | undefined {
  return conf.args.object("cni");
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "bridge config" });
}
