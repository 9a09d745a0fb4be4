/**
 * What a CNI plugin is given and what it answers, without the wire's versions: `run.ts` parses a call into these,
 * `versions.ts` writes a result in the shape that the config's version asks for.
 *
 * Terms and keys are those of the CNI specification 1.1.0.
 *
 * @module
 */
import type { Address } from "../net/address.ts";
import type { Cidr } from "../net/cidr.ts";

/** The verbs that carry a config. VERSION carries none and is answered by `run.ts` alone. */
export type CniCommand = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS";

/** One interface that a plugin made or found. `sandbox` is the namespace's path; without it the host's. */
export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  /** Bytes; since 1.1.0. */
  readonly mtu?: number;
  readonly sandbox?: string;
  /** Since 1.1.0. */
  readonly socketPath?: string;
  /** Since 1.1.0. */
  readonly pciID?: string;
}

/** One address; `interface` is an index into {@link CniResult.interfaces}. */
export interface CniIp {
  readonly interface?: number;
  readonly address: Cidr;
  readonly gateway?: Address;
}

/** One route; everything but `dst` and `gw` exists since 1.1.0. */
export interface CniRoute {
  readonly dst: Cidr;
  readonly gw?: Address;
  /** Bytes. */
  readonly mtu?: number;
  /** Bytes. */
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  /** As in linux/rtnetlink.h: 0 global, 253 link, 254 host. */
  readonly scope?: number;
}

/** Resolver settings. An empty field and an absent one differ: see bridge's `dns`. */
export interface CniDns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

/** The outcome of ADD, whatever the version. */
export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
  readonly dns: CniDns;
}

/** What a container's interface on a network is known by. */
export interface Attachment {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}

/** An attachment as `cni.dev/valid-attachments` lists it. */
export interface ValidAttachment {
  readonly containerID: string;
  readonly ifname: string;
}

/**
 * A JSON object whose keys are read without regard to case, as configs in the wild rely on. `null` counts as
 * absent.
 *
 * Every reader returns undefined for an absent key and throws TsnetError `decoding`, naming the key, for a value
 * of another type.
 */
export interface ConfigObject {
  /** Where it stands in the config, such as `ipam.ranges[0][1]`; empty for the config itself. */
  readonly at: string;
  /** The object as it was parsed, for what has case-sensitive keys. */
  readonly raw: Readonly<Record<string, unknown>>;
  has(key: string): boolean;
  /** The keys as they were written. */
  keys(): readonly string[];
  value(key: string): unknown;
  string(key: string): string | undefined;
  boolean(key: string): boolean | undefined;
  number(key: string): number | undefined;
  /** A number without a fraction, exactly representable. */
  integer(key: string): number | undefined;
  object(key: string): ConfigObject | undefined;
  array(key: string): readonly unknown[] | undefined;
  strings(key: string): readonly string[] | undefined;
  objects(key: string): readonly ConfigObject[] | undefined;
}

/** A plugin's network config, parsed at the door. */
export interface NetConf {
  /** One that the plugin supports; an absent one is 0.1.0. */
  readonly cniVersion: string;
  readonly name: string;
  /** Empty if absent. */
  readonly type: string;
  /** The whole config: the plugin's own keys are read from here. */
  readonly raw: ConfigObject;
  /** Empty if absent. */
  readonly runtimeConfig: ConfigObject;
  /** The key `args`, not CNI_ARGS; empty if absent. */
  readonly args: ConfigObject;
  readonly prevResult?: CniResult;
  readonly dns?: CniDns;
  /** GC only. Empty collects everything, absent collects nothing. */
  readonly validAttachments?: readonly ValidAttachment[];
}

/** One call of a plugin. GC and STATUS have no container: id, netns and ifname are empty there. */
export interface PluginCall {
  readonly command: CniCommand;
  readonly containerId: string;
  /** The namespace's path; on DEL it may be empty, or name one that is gone. */
  readonly netns: string;
  readonly ifname: string;
  /** The directories of CNI_PATH. */
  readonly path: readonly string[];
  /** CNI_ARGS as it came; `args.ts` parses it for the plugins that read it. */
  readonly args: string;
  readonly conf: NetConf;
  /** Standard input as it came, for handing on. */
  readonly stdin: string;
  readonly attachment: Attachment;
}

type Done = Promise<void> | void;

/**
 * A plugin: its verbs. They are called with everything validated, and throw TsnetError. Each loads what it needs
 * when it is called, so that naming a plugin costs nothing.
 */
export interface Plugin {
  readonly name: string;
  /** The config versions it accepts, ascending; all from 0.1.0 to 1.1.0 if absent. */
  readonly versions?: readonly string[];
  add(call: PluginCall): Promise<CniResult> | CniResult;
  del(call: PluginCall): Done;
  check(call: PluginCall): Done;
  gc(call: PluginCall): Done;
  status(call: PluginCall): Done;
}
