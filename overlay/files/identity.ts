/**
 * The MAC addresses of this host's VTEPs, kept over reboots: with its address on the underlay they are who a host is.
 * A host that came back with another would be refused by its own lease.
 *
 * @module
 */
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { formatMac, parseMac } from "../../lib/net/mac.ts";
import { makeDirectory, readIfThere, removeFile, replaceFile } from "../../lib/sys/files.ts";
import type { Parts } from "../types.ts";

/**
 * The MACs on disk, `aa:bb:cc:dd:ee:ff`; none if there is no file.
 *
 * @throws TsnetError `invalid` for a file that does not say: a new MAC in its place would look like another host.
 */
export function readVtep(dataDir: string): Parts<string> {
  const path = fileIn(dataDir);
  const text = readIfThere(path);
  return text === undefined ? {} : parseVtep(text, path);
}

/** Keeps the MACs, whole or not at all; writes nothing where they are there already. */
export function writeVtep(dataDir: string, macs: Parts<string>): void {
  const path = fileIn(dataDir);
  const text = `${JSON.stringify({ ipv4: macs[4], ipv6: macs[6] }, null, 2)}\n`;
  if (readIfThere(path) === text) return;
  makeDirectory(dataDir);
  replaceFile(path, text);
}

/** Forgets them; true if they were there. */
export function removeVtep(dataDir: string): boolean {
  return removeFile(fileIn(dataDir));
}

function fileIn(dataDir: string): string {
  return `${dataDir}/vtep.json`;
}

function parseVtep(text: string, path: string): Parts<string> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw damaged(path, "no object");
    const { ipv4, ipv6 }: { readonly [key: string]: unknown } = { ...value };
    return {
      ...(ipv4 === undefined ? {} : { 4: macOf(ipv4, "ipv4", path) }),
      ...(ipv6 === undefined ? {} : { 6: macOf(ipv6, "ipv6", path) }),
    };
  } catch (error) {
    throw isTsnetError(error) ? error : damaged(path, messageOf(error));
  }
}

/** Canonical. A group address names no device. */
function macOf(value: unknown, key: string, path: string): string {
  const bytes = typeof value === "string" ? tryParse(value) : undefined;
  if (bytes === undefined || (bytes[0] ?? 1) & 1) throw damaged(path, `${key} is ${JSON.stringify(value)}`);
  return formatMac(bytes);
}

function tryParse(text: string): Uint8Array | undefined {
  try {
    return parseMac(text);
  } catch {
    return undefined;
  }
}

function damaged(path: string, found: string): TsnetError {
  return new TsnetError(
    `${path} does not say what MAC this host's VTEP has (${found}): write it as { "ipv4": "0a:..." }, ` +
      "or remove the file to have a new one made, and start the agent with --replace-lease once",
    { code: "invalid", op: "read VTEP" },
  );
}
