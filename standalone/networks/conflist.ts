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

/** Where the network's list goes in `directory`: after all that are there. */
export function conflistPath(network: NetworkRecord, directory: string): string {
  return `${directory}/${nameAfter(`tsnet-${network.name}`, namesIn(directory))}`;
}

/** Writes the list of a network that has a place for it. */
export function writeConflist(network: NetworkRecord): void {
  const { conflist } = network;
  if (conflist === undefined) return;
  makeDirectory(conflist.slice(0, conflist.lastIndexOf("/")));
  if (createFile(conflist, textOf(network), 0o644)) return;
  throw new TsnetError(`${conflist} is there already: move it away`, { code: "exists", op: "write network list" });
}

/** Removes the list again; false, and nothing is done, if somebody edited it. */
export function removeConflist(network: NetworkRecord): boolean {
  const { conflist } = network;
  if (conflist === undefined) return true;
  const there = readIfThere(conflist);
  if (there !== undefined && there !== textOf(network)) return false;
  removeFile(conflist);
  return true;
}

function textOf(network: NetworkRecord): string {
  return `${listText(network, true)}\n`;
}
