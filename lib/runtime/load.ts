/**
 * Finding a network among the files of a configuration directory, as libcni does: `.conflist` files first, in
 * order of their names, then single `.conf` and `.json` files.
 *
 * A file that cannot be read does not hide the others: it is named only where the network was not found.
 *
 * @module
 */
import { parseJsonObject } from "../cni/object.ts";
import { messageOf, TsnetError } from "../errors.ts";
import { namesIn, readIfThere } from "../sys/files.ts";
import { listOfPlugin, type NetworkList, parseNetworkList, parsePlugin } from "./list.ts";

/** Where runtimes look for networks. */
export const CONF_DIR = "/etc/cni/net.d";

/**
 * Loads the network `name` from the files in `directory`.
 *
 * @throws TsnetError `not-found`, naming the networks that are there and the files that could not be read.
 */
export function loadNetworkList(directory: string, name: string): NetworkList {
  const seen: string[] = [];
  const broken: string[] = [];
  for (const file of networkFiles(directory)) {
    try {
      const list = loadNetworkFile(`${directory}/${file}`);
      if (list.name === name) return list;
      seen.push(list.name);
    } catch (error) {
      broken.push(messageOf(error));
    }
  }
  const there = seen.length === 0 ? "there is none" : `there are: ${seen.join(", ")}`;
  const unread = broken.map((message) => `; ${message}`).join("");
  throw new TsnetError(`no network "${name}" in ${directory} (${there}${unread})`, {
    code: "not-found",
    op: "load network",
  });
}

/**
 * Loads one file, whichever kind it is: a list with the plugins of its folder, or a single plugin.
 *
 * @throws TsnetError `not-found`, `decoding`, `invalid`.
 */
export function loadNetworkFile(path: string): NetworkList {
  const text = readIfThere(path);
  if (text === undefined) throw new TsnetError(`no file ${path}`, { code: "not-found", op: "load network" });
  if (!path.endsWith(".conflist") && isSinglePlugin(text, path)) return listOfPlugin(parsePlugin(text, path), path);
  const list = parseNetworkList(text, path);
  const plugins = list.loadOnlyInlinedPlugins ? list.plugins : [...list.plugins, ...pluginsBeside(path, list.name)];
  if (plugins.length > 0) return { ...list, plugins };
  throw new TsnetError(`${path} names no plugin, and neither does a .conf in ${folderOf(path, list.name)}`, {
    code: "invalid",
    op: "load network",
  });
}

/** The names of the network files in `directory`, in the order in which they are asked. */
export function networkFiles(directory: string): readonly string[] {
  const names = namesIn(directory);
  const ending = (...endings: readonly string[]) => names.filter((name) => endings.some((end) => name.endsWith(end)));
  return [...ending(".conflist"), ...ending(".conf", ".json")];
}

function pluginsBeside(path: string, name: string) {
  const folder = folderOf(path, name);
  return namesIn(folder)
    .filter((file) => file.endsWith(".conf"))
    .map((file) => parsePlugin(readIfThere(`${folder}/${file}`) ?? "", `${folder}/${file}`));
}

function folderOf(path: string, name: string): string {
  return `${path.slice(0, path.lastIndexOf("/") + 1)}${name}`;
}

// A list may stand in a file of any ending; it has plugins, and no type of its own.
function isSinglePlugin(text: string, path: string): boolean {
  return parseJsonObject(text, path).has("type");
}
