/**
 * What ADD came to, kept for DEL, CHECK and GC: in libcni's format and folder, so that either deletes what the
 * other added.
 *
 * One file an attachment, `<cacheDir>/results/<network>-<containerID>-<ifname>`. libcni writes it in place; ours
 * appears whole or not at all.
 *
 * Source: libcni/api.go of containernetworking/cni 1.3, `cachedInfo`.
 *
 * @module
 */
import type { Attachment } from "../cni/types.ts";
import { makeDirectory, namesIn, readIfThere, removeFile, replaceFile } from "../sys/files.ts";
import type { JsonObject } from "./list.ts";

/** Where libcni keeps its cache. */
export const CACHE_DIR = "/var/lib/cni";

/** CNI_ARGS as pairs, in their order. */
export type CniArgs = readonly (readonly [string, string])[];

/** One cached attachment. */
export interface CachedAttachment extends Attachment {
  readonly netns: string;
  /** The text of the network list that ADD ran. */
  readonly config: string;
  readonly args: CniArgs;
  readonly capabilityArgs: JsonObject;
  /** The result as JSON, in the version that it names itself. */
  readonly result: JsonObject | undefined;
}

const KIND = "cniCacheV1";

/** Writes the file of an attachment. Keys are left out where libcni leaves them out. */
export function writeCached(cacheDir: string, entry: CachedAttachment): void {
  makeDirectory(resultsOf(cacheDir), 0o700);
  const text = JSON.stringify({
    kind: KIND,
    containerId: entry.containerId,
    config: Buffer.from(entry.config).toString("base64"),
    ifName: entry.ifname,
    networkName: entry.network,
    netns: entry.netns === "" ? undefined : entry.netns,
    cniArgs: entry.args.length === 0 ? undefined : entry.args,
    capabilityArgs: Object.keys(entry.capabilityArgs).length === 0 ? undefined : entry.capabilityArgs,
    result: entry.result,
  });
  replaceFile(pathOf(cacheDir, entry), text, 0o600);
}

/** The cached attachment, or undefined where there is none that can be read. A bare result of libcni before 0.8 counts. */
export function readCached(cacheDir: string, attachment: Attachment): CachedAttachment | undefined {
  const value = parse(readIfThere(pathOf(cacheDir, attachment)));
  if (value === undefined) return undefined;
  const cached = fromJson(value);
  if (cached !== undefined) return isSame(cached, attachment) ? cached : undefined;
  if (value.cniVersion === undefined && value.ips === undefined && value.ip4 === undefined) return undefined;
  return { ...attachment, netns: "", config: "", args: [], capabilityArgs: {}, result: value };
}

/** Forgets an attachment; an unknown one is fine. */
export function removeCached(cacheDir: string, attachment: Attachment): void {
  const value = parse(readIfThere(pathOf(cacheDir, attachment)));
  const cached = value === undefined ? undefined : fromJson(value);
  if (cached === undefined || isSame(cached, attachment)) removeFile(pathOf(cacheDir, attachment));
}

/** Every cached attachment, sorted by file name; files that are none are passed over. */
export function listCached(cacheDir: string): readonly CachedAttachment[] {
  return namesIn(resultsOf(cacheDir))
    .map((name) => parse(readIfThere(`${resultsOf(cacheDir)}/${name}`)))
    .map((value) => (value === undefined ? undefined : fromJson(value)))
    .filter((entry) => entry !== undefined);
}

function resultsOf(cacheDir: string): string {
  return `${cacheDir}/results`;
}

// Names may hold the dashes that part them: network "a-b" and container "c" share a file with "a" and "b-c".
function isSame(cached: Attachment, { network, containerId, ifname }: Attachment): boolean {
  return cached.network === network && cached.containerId === containerId && cached.ifname === ifname;
}

function pathOf(cacheDir: string, { network, containerId, ifname }: Attachment): string {
  return `${resultsOf(cacheDir)}/${network}-${containerId}-${ifname}`;
}

function parse(text: string | undefined): JsonObject | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function fromJson(value: JsonObject): CachedAttachment | undefined {
  const text = (key: string) => (typeof value[key] === "string" ? value[key] : "");
  const attachment = { network: text("networkName"), containerId: text("containerId"), ifname: text("ifName") };
  if (value.kind !== KIND || Object.values(attachment).includes("")) return undefined;
  const { capabilityArgs, cniArgs, result } = value;
  return {
    ...attachment,
    netns: text("netns"),
    config: Buffer.from(text("config"), "base64").toString(),
    args: Array.isArray(cniArgs) ? cniArgs.filter(isPair) : [],
    capabilityArgs: isObject(capabilityArgs) ? capabilityArgs : {},
    result: isObject(result) ? result : undefined,
  };
}

function isPair(value: unknown): value is readonly [string, string] {
  return Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "string");
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
