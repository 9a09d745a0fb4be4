/**
 * Network lists: the text of a `.conflist` into what the runtime calls, one plugin after the other.
 *
 * The list's own keys are case-sensitive and a plugin's are not, as in libcni. Which of `cniVersions` is spoken is
 * settled here: the highest that we know.
 *
 * Source: CNI specification 1.1.0, section 1 "Network configuration format".
 *
 * @module
 */

import { checkNetworkName } from "../cni/names.ts";
import { objectOf, parseJsonObject } from "../cni/object.ts";
import { NEWEST_VERSION } from "../cni/supported.ts";
import { TsnetError } from "../errors.ts";
import { atLeast, isVersion } from "./version.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** One plugin of a list. */
export interface ListedPlugin {
  readonly type: string;
  /** The capabilities that it declares: the keys of runtimeConfig that it gets. */
  readonly capabilities: readonly string[];
  /** Its config as it was written. */
  readonly raw: JsonObject;
}

/** A network: its plugins in the order of ADD, and how its runtime shall treat them. */
export interface NetworkList {
  readonly name: string;
  /** The version spoken with its plugins; empty if the list says none, which plugins read as 0.1.0. */
  readonly cniVersion: string;
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
  readonly loadOnlyInlinedPlugins: boolean;
  readonly plugins: readonly ListedPlugin[];
  /** The list's text, as the cache keeps it. */
  readonly raw: string;
}

/**
 * Parses the text of a network list. A list without `plugins` comes back without any: its plugins are in a folder
 * beside it, see load.ts.
 *
 * @param path names the file in error messages.
 * @throws TsnetError `decoding` if it is not JSON, `invalid` naming the key that is wrong.
 */
export function parseNetworkList(text: string, path = "network list"): NetworkList {
  const { raw } = parseJsonObject(text, path);
  const fail = (what: string) => new TsnetError(`${path}: ${what}`, { code: "invalid", op: "parse network list" });
  const { name, plugins } = raw;
  if (name === undefined) throw fail('no "name"');
  if (typeof name !== "string") throw fail(`"name" must be a string, found ${JSON.stringify(name)}`);
  checkNetworkName(name);
  const list = {
    name,
    cniVersion: negotiate(raw, fail),
    disableCheck: readSwitch(raw, "disableCheck", fail),
    disableGC: readSwitch(raw, "disableGC", fail),
    loadOnlyInlinedPlugins: readSwitch(raw, "loadOnlyInlinedPlugins", fail),
    raw: text,
  };
  if (plugins === undefined) {
    if (list.loadOnlyInlinedPlugins) throw fail('"loadOnlyInlinedPlugins" is true and there is no "plugins"');
    return { ...list, plugins: [] };
  }
  if (!Array.isArray(plugins)) throw fail('"plugins" must be an array');
  if (plugins.length === 0) throw fail('"plugins" is empty: name at least one');
  return { ...list, plugins: plugins.map((plugin, at) => toPlugin(plugin, `${path}: plugins[${at}]`)) };
}

/** Parses the text of one plugin's config: a `.conf` of its own, or of a list's folder. */
export function parsePlugin(text: string, path: string): ListedPlugin {
  return toPlugin(parseJsonObject(text, path).raw, path);
}

/** A single plugin's config, the `.conf` of old, as a list of that one plugin. */
export function listOfPlugin(plugin: ListedPlugin, path: string): NetworkList {
  const config = objectOf(plugin.raw, path);
  const text = JSON.stringify({
    cniVersion: config.string("cniVersion") ?? "",
    name: config.string("name") ?? "",
    plugins: [plugin.raw],
  });
  return parseNetworkList(text, path);
}

type Fail = (what: string) => TsnetError;

function toPlugin(value: unknown, path: string): ListedPlugin {
  const config = objectOf(value, path);
  const type = config.string("type") ?? "";
  if (type === "") throw new TsnetError(`${path}: no "type"`, { code: "invalid", op: "parse network list" });
  const capabilities = config.object("capabilities");
  const declared = (capabilities?.keys() ?? []).filter((name) => capabilities?.boolean(name) === true);
  return { type, capabilities: declared, raw: config.raw };
}

/** The highest of cniVersion and cniVersions that we speak; cniVersion alone stands as it is. */
function negotiate(raw: JsonObject, fail: Fail): string {
  const { cniVersion = "", cniVersions } = raw;
  if (typeof cniVersion !== "string") throw fail('"cniVersion" must be a string');
  if (cniVersions === undefined) return cniVersion;
  if (!Array.isArray(cniVersions)) throw fail('"cniVersions" must be an array of versions');
  let best: string | undefined;
  for (const version of [...cniVersions, ...(cniVersion === "" ? [] : [cniVersion])]) {
    if (!isVersion(version)) throw fail(`"cniVersions" holds no version: ${JSON.stringify(version)}`);
    if (atLeast(NEWEST_VERSION, version) && (best === undefined || atLeast(version, best))) best = version;
  }
  return best ?? cniVersion;
}

// libcni takes the words too.
function readSwitch(raw: JsonObject, key: string, fail: Fail): boolean {
  const value = raw[key];
  const word = typeof value === "string" ? value.toLowerCase() : value;
  if (word === undefined || word === false || word === "false") return false;
  if (word === true || word === "true") return true;
  throw fail(`"${key}" must be true or false, found ${JSON.stringify(value)}`);
}
