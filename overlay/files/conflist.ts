/**
 * The network list by which runtimes find the overlay: written once there is a subnet to give addresses from, so that
 * a node is not ready before.
 *
 * @module
 */
import type { Log } from "../../lib/daemon/log.ts";
import { STATE_FILE } from "../../lib/overlay/state.ts";
import { SUBNET_FILE } from "../../lib/overlay/subnetenv.ts";
import { makeDirectory, namesIn, readIfThere, removeFile, replaceFile } from "../../lib/sys/files.ts";
import type { ConflistSettings } from "../settings.ts";

/** Where the plugin finds what the agent wrote. */
export interface ConflistPlaces {
  readonly subnetFile: string;
  readonly stateFile: string;
}

/**
 * Puts the list at `settings.path`, whole or not at all, unless it is there word for word. True if it was written.
 * Warns of the network that runtimes use instead, where one sorts before it.
 */
export function writeConflist(settings: ConflistSettings, places: ConflistPlaces, log: Log): boolean {
  if (settings.path === "") return false;
  const [directory, name] = placeOf(settings.path);
  const text = renderConflist(settings, places);
  const changed = readIfThere(settings.path) !== text;
  if (changed) {
    makeDirectory(directory);
    replaceFile(settings.path, text);
  }
  const first = listsBefore(directory, name)[0];
  if (first !== undefined) {
    log.warn(
      `${directory}/${first} sorts before ${name}: runtimes that take the first file use that network, and not the ` +
        "overlay, until it is removed or renamed",
      { network: settings.name },
    );
  }
  return changed;
}

/** Removes the list if it is an overlay's; true if it was there. */
export function removeConflist(settings: ConflistSettings): boolean {
  if (settings.path === "" || !isOverlays(readIfThere(settings.path))) return false;
  return removeFile(settings.path);
}

/**
 * The text of the list. It names 1.0.0 first because containerd 1.6 refuses a list of 1.1.0; what knows `cniVersions`
 * takes 1.1.0.
 */
export function renderConflist({ name, bridge }: ConflistSettings, places: ConflistPlaces): string {
  const overlay = {
    type: "overlay",
    bridge,
    ...(places.subnetFile === SUBNET_FILE ? {} : { subnetFile: places.subnetFile }),
    ...(places.stateFile === STATE_FILE ? {} : { stateFile: places.stateFile }),
  };
  const list = {
    cniVersion: "1.0.0",
    cniVersions: ["1.0.0", "1.1.0"],
    name,
    plugins: [overlay, { type: "portmap", capabilities: { portMappings: true } }],
  };
  return `${JSON.stringify(list, null, 2)}\n`;
}

/** The network files of `directory` that runtimes take rather than `name`, first one first: they go by bytes. */
function listsBefore(directory: string, name: string): readonly string[] {
  return namesIn(directory)
    .filter((other) => EXTENSIONS.some((extension) => other.endsWith(extension)))
    .filter((other) => byBytes(other, name) < 0)
    .toSorted(byBytes);
}

// What libcni reads.
const EXTENSIONS = [".conf", ".conflist", ".json"];

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

/** Whether a list has the overlay's plugin; one that somebody put in its place is theirs. */
function isOverlays(text: string | undefined): boolean {
  try {
    const list: unknown = JSON.parse(text ?? "");
    const plugins = typeof list === "object" && list !== null && "plugins" in list ? list.plugins : undefined;
    return Array.isArray(plugins) && plugins.some((plugin: unknown) => typeOf(plugin) === "overlay");
  } catch {
    return false;
  }
}

function typeOf(plugin: unknown): unknown {
  return typeof plugin === "object" && plugin !== null && "type" in plugin ? plugin.type : undefined;
}

function placeOf(path: string): readonly [directory: string, name: string] {
  const slash = path.lastIndexOf("/");
  return [slash > 0 ? path.slice(0, slash) : "/", path.slice(slash + 1)];
}
