/**
 * The config of `type: tsnet`: the plugins of a chain under `parts`, each with its usual keys, and what the runtime
 * has to know of them all under `capabilities`.
 *
 * Each part is made into the config that the plugin would be given as one of a list: the network's name and version,
 * and of runtimeConfig what the part declares under its own `capabilities`.
 *
 * @module
 */
import { parseNetConf } from "../../lib/cni/config.ts";
import { objectAt } from "../../lib/cni/object.ts";
import type { CniResult, ConfigObject, NetConf, PluginCall } from "../../lib/cni/types.ts";
import { encodeResult } from "../../lib/cni/versions.ts";
import { TsnetError } from "../../lib/errors.ts";
import { isPartType, type PartType, partTypes } from "./types.ts";

/** One plugin of the chain. */
export interface PartConfig {
  /** Where it stands: `parts[1]`. */
  readonly at: string;
  readonly type: PartType;
  /** The call as the plugin would get it in a process of its own, after `result`. */
  call(result: CniResult | undefined): PluginCall;
}

/**
 * All parts, in order.
 *
 * @throws TsnetError `invalid` or `decoding`, naming the part and the key.
 */
export function parseParts(call: PluginCall): readonly PartConfig[] {
  const parts = partsIn(call).map((raw) => parsePart(call, raw));
  for (const [index, { at, type }] of parts.entries()) {
    const first = parts.findIndex((part) => part.type === type);
    if (first !== index)
      throw invalid(`${at} is a second ${type}, beside parts[${first}]: put it into a plugin of its own`);
  }
  checkCapabilities(call);
  return parts;
}

/** The parts' configs, unread. @throws TsnetError `invalid` if there is none. */
export function partsIn({ conf: { raw } }: PluginCall): readonly ConfigObject[] {
  const parts = raw.objects("parts");
  if (parts === undefined) throw invalid('no "parts": list the plugins of the chain there, such as {"type": "bridge"}');
  if (parts.length === 0) throw invalid('"parts" is empty: list at least one plugin');
  return parts;
}

/** @throws TsnetError `invalid` or `decoding`, naming the key. */
export function parsePart(call: PluginCall, raw: ConfigObject): PartConfig {
  const type = raw.string("type") ?? "";
  if (!isPartType(type)) {
    const found = type === "" ? "is missing" : `is ${JSON.stringify(type)}`;
    throw invalid(
      `${raw.at}.type ${found}, allowed are ${partTypes.join(", ")}: another plugin stays one of the list, before or after this one`,
    );
  }
  const shared = sharedKeys(call, raw);
  const conf = parseNetConf(objectAt(shared, raw.at));
  return { at: raw.at, type, call: (result) => callWith(call, shared, conf, result) };
}

/** What a runtime puts into the config of a plugin: its own keys of these names do not count. */
function sharedKeys({ conf }: PluginCall, raw: ConfigObject): Readonly<Record<string, unknown>> {
  const runtimeConfig = runtimeConfigFor(conf, raw);
  const valid = conf.raw.value("cni.dev/valid-attachments");
  const injected = {
    cniVersion: conf.cniVersion,
    name: conf.name,
    ...(runtimeConfig === undefined ? {} : { runtimeConfig }),
    ...(valid === undefined ? {} : { "cni.dev/valid-attachments": valid }),
  };
  const taken = new Set([...Object.keys(injected).map((key) => key.toLowerCase()), "prevresult"]);
  const own = Object.entries(raw.raw).filter(([key]) => !taken.has(key.toLowerCase()));
  return { ...injected, ...Object.fromEntries(own) };
}

/** Undefined where there is nothing to pass on: what the part itself has under that key then stands. */
function runtimeConfigFor({ runtimeConfig }: NetConf, raw: ConfigObject): Record<string, unknown> | undefined {
  const passed = Object.entries(runtimeConfig.raw).filter(([key]) => declares(raw, key));
  return passed.length === 0 ? undefined : Object.fromEntries(passed);
}

/** Capabilities are keys of a map, so their case counts. */
function declares(config: ConfigObject, capability: string): boolean {
  return config.object("capabilities")?.raw[capability] === true;
}

/**
 * The runtime passes on what the whole plugin declares, and a part takes what it declares itself: what only one of
 * them says would be lost without a word.
 */
function checkCapabilities(call: PluginCall): void {
  const { raw } = call.conf;
  const parts = partsIn(call);
  const declared = (config: ConfigObject) => {
    const capabilities = config.object("capabilities");
    return (capabilities?.keys() ?? []).filter((name) => capabilities?.boolean(name) === true);
  };
  for (const part of parts) {
    const missing = declared(part).find((name) => !declares(raw, name));
    if (missing === undefined) continue;
    throw invalid(
      `${part.at}.capabilities has ${missing}, which capabilities of the whole plugin lacks, so that no runtime passes it: add it there`,
    );
  }
  const unused = declared(raw).find((name) => !parts.some((part) => declares(part, name)));
  if (unused === undefined) return;
  throw invalid(
    `capabilities has ${unused}, which no part takes: add it to the capabilities of the part that reads it`,
  );
}

function callWith(
  call: PluginCall,
  shared: Readonly<Record<string, unknown>>,
  conf: NetConf,
  prevResult: CniResult | undefined,
): PluginCall {
  return {
    ...call,
    conf: prevResult === undefined ? conf : { ...conf, prevResult },
    // Nearly always nobody asks for it: it is for an IPAM plugin that is not ours.
    get stdin() {
      const { cniVersion } = conf;
      return JSON.stringify(
        prevResult === undefined ? shared : { ...shared, prevResult: encodeResult(prevResult, cniVersion) },
      );
    },
  };
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "tsnet config" });
}
