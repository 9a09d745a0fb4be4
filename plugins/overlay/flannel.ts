/**
 * What flannel's plugin left: for each container a file with the config that it gave to the working plugin. By it we
 * take away a container that flannel's plugin attached, as that one would.
 *
 * @module
 */
import { objectOf } from "../../lib/cni/object.ts";
import { messageOf } from "../../lib/errors.ts";
import { warn } from "../../lib/log.ts";
import { namesIn, readIfThere, removeFile } from "../../lib/sys/files.ts";
import type { PluginConf } from "./plan.ts";

/** The config that flannel's plugin attached a container with; undefined if it did not. */
export function readFlannelConf(directory: string, containerId: string): PluginConf | undefined {
  const path = `${directory}/${containerId}`;
  const text = readIfThere(path);
  if (text === undefined) return undefined;
  try {
    const conf = objectOf(JSON.parse(text), path);
    return conf.string("type") ? conf.raw : undefined;
  } catch (error) {
    warn(`${path}, of flannel's plugin, cannot be read: ${messageOf(error)}`);
    return undefined;
  }
}

/** Removes a container's file; fine if there is none. */
export function removeFlannelConf(directory: string, containerId: string): void {
  removeFile(`${directory}/${containerId}`);
}

/** Removes the files of `network` whose containers are not among `containerIds`. */
export function removeFlannelConfs(directory: string, network: string, containerIds: ReadonlySet<string>): void {
  for (const id of namesIn(directory)) {
    if (!containerIds.has(id) && readFlannelConf(directory, id)?.name === network) removeFlannelConf(directory, id);
  }
}
