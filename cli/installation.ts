/**
 * The plugins in a runtime's directories, and the way back.
 *
 * One copy of the executable stands under every plugin's name. What stood there before is kept beside it, in
 * `.tsnet-install`, with a record of what was done; the record is written before anything is replaced, so that an
 * install that was cut off can be finished or undone.
 *
 * @module
 */
import { TsnetError } from "../lib/errors.ts";
import {
  copyExecutable,
  type FileIdentity,
  identityOf,
  linkOver,
  moveOver,
  removeIfEmpty,
  sameContent,
  sameIdentity,
} from "../lib/sys/executable.ts";
import { exists, makeDirectory, namesIn, readIfThere, removeFile, replaceFile } from "../lib/sys/files.ts";
import { removeTree } from "../lib/sys/trees.ts";
import { conflistName } from "./conflist.ts";

export interface Places {
  readonly binDir: string;
  readonly confDir: string;
}

export interface Wanted extends Places {
  /** The executable to install. */
  readonly executable: string;
  /** The names that it is called by. */
  readonly names: readonly string[];
  /** Makes the text of the network list; undefined: write none. */
  readonly listText: (() => Promise<string> | string) | undefined;
}

/** What happened to one file. */
export interface Change {
  readonly path: string;
  readonly action: "installed" | "replaced" | "updated" | "unchanged" | "removed" | "put back" | "left";
  /** Why, where that is not plain. */
  readonly note?: string;
}

interface WrittenList {
  readonly path: string;
  readonly text: string;
}

interface InstallRecord {
  /** Every file that we put there, so that somebody else's later one is known from it. */
  readonly ours: readonly FileIdentity[];
  readonly names: readonly string[];
  readonly madeDirectories: readonly string[];
  readonly conflist?: WrittenList;
}

/** Installs, or brings an installation up to date. Doing it again changes nothing. */
export async function install(wanted: Wanted): Promise<readonly Change[]> {
  const { binDir, names, executable } = wanted;
  const before = readRecord(binDir);
  const conflist = before?.conflist ?? (await planList(wanted));
  const madeDirectories = [...(before?.madeDirectories ?? []), ...makeDirectories(wanted)];
  const base = {
    madeDirectories,
    names: union(before?.names ?? [], names),
    ...(conflist === undefined ? {} : { conflist }),
  };
  writeRecord(binDir, { ...base, ours: before?.ours ?? [] });
  const current = names.filter((name) => isOurs(before, `${binDir}/${name}`));
  const upToDate = current.length === names.length && sameContent(executable, `${binDir}/${names[0]}`);
  const changes = upToDate
    ? names.map((name) => unchanged(`${binDir}/${name}`))
    : placeExecutable(wanted, before, base);
  return conflist === undefined ? changes : [...changes, placeList(conflist)];
}

/**
 * Puts everything back as it was before the first install.
 *
 * @throws TsnetError `not-found` if nothing is installed there.
 */
export function uninstall(binDir: string): readonly Change[] {
  const record = readRecord(binDir);
  if (record === undefined) {
    throw new TsnetError(`nothing of tsnet's is installed in ${binDir}`, { code: "not-found", op: "undo install" });
  }
  const changes = record.names.map((name) => restore(record, binDir, name));
  if (record.conflist !== undefined) changes.push(removeList(record.conflist));
  removeFile(recordOf(binDir));
  if (namesIn(replacedIn(binDir)).length === 0) removeTree(keptIn(binDir));
  for (const directory of record.madeDirectories.toReversed()) removeIfEmpty(directory);
  return changes;
}

function placeExecutable(
  { binDir, names, executable }: Wanted,
  before: InstallRecord | undefined,
  base: Omit<InstallRecord, "ours">,
) {
  const copy = `${keptIn(binDir)}/executable`;
  copyExecutable(executable, copy);
  const identity = identityOf(copy);
  const record = { ...base, ours: [...(before?.ours ?? []), ...(identity === undefined ? [] : [identity])] };
  writeRecord(binDir, record);
  const changes = names.map((name): Change => {
    const path = `${binDir}/${name}`;
    const there = identityOf(path) !== undefined;
    const foreign = there && !isOurs(record, path);
    if (foreign) linkOver(path, `${replacedIn(binDir)}/${name}`);
    linkOver(copy, path);
    if (foreign) return { path, action: "replaced", note: "kept for --undo" };
    return { path, action: there ? "updated" : "installed" };
  });
  removeFile(copy);
  return changes;
}

function restore(record: InstallRecord, binDir: string, name: string): Change {
  const path = `${binDir}/${name}`;
  const kept = `${replacedIn(binDir)}/${name}`;
  const keptThere = identityOf(kept) !== undefined;
  if (identityOf(path) !== undefined && !isOurs(record, path)) {
    if (!keptThere) return unchanged(path);
    return { path, action: "left", note: `replaced since by somebody else; the one before tsnet is ${kept}` };
  }
  if (keptThere) {
    moveOver(kept, path);
    return { path, action: "put back" };
  }
  removeFile(path);
  return { path, action: "removed" };
}

async function planList({ confDir, listText }: Wanted): Promise<WrittenList | undefined> {
  if (listText === undefined) return undefined;
  return { path: `${confDir}/${conflistName(namesIn(confDir))}`, text: await listText() };
}

function placeList({ path, text }: WrittenList): Change {
  const there = readIfThere(path);
  if (there === text) return unchanged(path);
  if (there !== undefined) return { path, action: "left", note: "edited since it was installed" };
  replaceFile(path, text);
  return { path, action: "installed" };
}

function removeList({ path, text }: WrittenList): Change {
  const there = readIfThere(path);
  if (there !== undefined && there !== text) return { path, action: "left", note: "edited since it was installed" };
  removeFile(path);
  return { path, action: "removed" };
}

/** Makes the directories and returns those that were not there, outermost first. */
function makeDirectories({ binDir, confDir, listText }: Wanted): readonly string[] {
  const missing = [binDir, ...(listText === undefined ? [] : [confDir])].flatMap(missingUpTo);
  for (const directory of missing) makeDirectory(directory);
  makeDirectory(replacedIn(binDir), 0o700);
  return [...new Set(missing)];
}

function missingUpTo(directory: string): readonly string[] {
  if (exists(directory)) return [];
  return [...missingUpTo(directory.slice(0, directory.lastIndexOf("/")) || "/"), directory];
}

function isOurs(record: InstallRecord | undefined, path: string): boolean {
  const identity = identityOf(path);
  return identity !== undefined && (record?.ours ?? []).some((ours) => sameIdentity(ours, identity));
}

function readRecord(binDir: string): InstallRecord | undefined {
  const text = readIfThere(recordOf(binDir));
  return text === undefined ? undefined : (JSON.parse(text) as InstallRecord);
}

function writeRecord(binDir: string, record: InstallRecord): void {
  replaceFile(recordOf(binDir), `${JSON.stringify(record, null, 2)}\n`, 0o600);
}

function unchanged(path: string): Change {
  return { path, action: "unchanged" };
}

function union(one: readonly string[], other: readonly string[]): readonly string[] {
  return [...new Set([...one, ...other])];
}

function keptIn(binDir: string): string {
  return `${binDir}/.tsnet-install`;
}

function replacedIn(binDir: string): string {
  return `${keptIn(binDir)}/replaced`;
}

function recordOf(binDir: string): string {
  return `${keptIn(binDir)}/record.json`;
}
