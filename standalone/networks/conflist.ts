/**
 * A network where container runtimes look for theirs: podman with its CNI back end, containerd, CRI-O. Both sides
 * then share bridge, addresses and rules.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { createFile, makeDirectory, namesIn, readIfThere, removeFile } from "../../lib/sys/files.ts";
import { listText } from "../plan/list.ts";
import type { NetworkRecord } from "../state/records.ts";
import { nameAfter } from "./sorting.ts";

/** Writes the network's list into `directory`, after all that are there; returns its path. */
export function placeConflist(network: NetworkRecord, directory: string): string {
  makeDirectory(directory);
  const path = `${directory}/${nameAfter(`tsnet-${network.name}`, namesIn(directory))}`;
  if (!createFile(path, textOf(network), 0o644)) {
    throw new TsnetError(`${path} is there already: move it away`, { code: "exists", op: "write network list" });
  }
  return path;
}

/** Removes the list again; false, and nothing is done, if somebody edited it. */
export function removeConflist(network: NetworkRecord, path: string): boolean {
  const there = readIfThere(path);
  if (there !== undefined && there !== textOf(network)) return false;
  removeFile(path);
  return true;
}

function textOf(network: NetworkRecord): string {
  return `${listText(network, true)}\n`;
}
