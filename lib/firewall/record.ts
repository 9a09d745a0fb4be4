/**
 * What one part of one attachment put into one engine, as it is kept on disk, and how its rules are tagged.
 *
 * A tag is the comment of every rule and element that we make. It begins with hashes, since a comment has too few
 * bytes for three names, and goes on in words for whoever reads the rules.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { Family } from "../net/address.ts";
import type { Attachment, Part, Protocol } from "./types.ts";

/** Who holds rules. The two iptables are rule sets of their own. */
export type EngineName = "nftables" | "iptables-nft" | "iptables-legacy";

export const ENGINES: readonly EngineName[] = ["nftables", "iptables-nft", "iptables-legacy"];

/** Where entries lie: with an engine, or with firewalld, which is told of addresses and writes rules of its own. */
export type KeeperName = EngineName | "firewalld";

export const KEEPERS: readonly KeeperName[] = [...ENGINES, "firewalld"];

/** A host port that an attachment has; without `hostIp` on all addresses of the family. */
export interface HeldPort {
  readonly family: Family;
  readonly protocol: Protocol;
  readonly port: number;
  readonly hostIp?: string;
}

/** Whether both cannot be held: no address means all of them. */
export function collide(a: HeldPort, b: HeldPort): boolean {
  if (a.family !== b.family || a.protocol !== b.protocol || a.port !== b.port) return false;
  return a.hostIp === undefined || b.hostIp === undefined || a.hostIp === b.hostIp;
}

/** An element of a set or map in our nftables table, in nft's own words; with firewalld a source of a zone. */
export interface Element {
  readonly set: string;
  readonly key: string;
  readonly value?: string;
}

/** Whether who has the address has the element, too: what is published is its holder's, whatever the address. */
export function isOfOneAddress({ set }: Pick<Element, "set">): boolean {
  return /^(?:masquerade|own|near|forward)[46]$/.test(set);
}

/** A rule of iptables without its comment. */
export interface IptablesRule {
  readonly family: Family;
  readonly table: "raw" | "nat" | "filter";
  readonly chain: string;
  readonly rule: string;
}

/** What several attachments stand on: it comes with the first that needs it and goes with the last. */
export interface Shared {
  /** What it is, in few words: the same for the same thing. */
  readonly name: string;
  /** A chain of the administrator's, which our rules jump to first. Made where it is not there; goes only if empty. */
  readonly adminChain?: string;
  readonly elements: readonly Element[];
  readonly rules: readonly IptablesRule[];
}

/** A chain that one attachment alone has, for rules with conditions of the user's. */
export interface OwnChain {
  readonly family: Family;
  readonly chain: string;
  readonly rules: readonly string[];
}

/** What goes into the kernel. An nftables entry has elements, an iptables entry has rules. */
export interface Content {
  readonly elements: readonly Element[];
  readonly rules: readonly IptablesRule[];
  readonly chains: readonly OwnChain[];
  readonly shared?: readonly Shared[];
}

export interface Entry {
  readonly attachment: Attachment;
  readonly part: Part;
  readonly engine: KeeperName;
  readonly families: readonly Family[];
  /** The container's addresses, canonical, without prefix. */
  readonly addresses: readonly string[];
  readonly ports: readonly HeldPort[];
  /** Whether the host forwarded in these families then: later it is expected to. */
  readonly forwarding: boolean;
  readonly content: Content;
}

/** What the name of an entry's file tells, without reading it. */
export interface EntryName {
  readonly file: string;
  readonly engine: KeeperName;
  readonly part: Part;
  readonly families: readonly Family[];
  readonly tag: string;
  /** The keys of what it shares with others. */
  readonly shared: readonly string[];
  /** The host ports that it has, if it has any; undefined: the file has to be read for that. */
  readonly ports?: readonly number[];
}

/** The tag of a network: the first part of the tags of all its attachments. */
export function networkTag(network: string): string {
  return hash(network).slice(0, 8);
}

/** Identifies an attachment in rules and file names: `d0a8b1c2.0123456789abcdef`. */
export function tagOf({ network, containerId, ifname }: Attachment): string {
  return `${networkTag(network)}.${hash(`${network}/${containerId}/${ifname}`).slice(0, 16)}`;
}

/** The comment of an attachment's rules. */
export function commentOf(attachment: Attachment): string {
  return `${tagOf(attachment)} ${describe(attachment)}`.slice(0, COMMENT_LENGTH);
}

/** An attachment in words: `network/container/ifname`. */
export function describe({ network, containerId, ifname }: Attachment): string {
  return `${network}/${containerId}/${ifname}`;
}

/** Reads a comment; undefined if it is none of ours. */
export function parseComment(comment: string | undefined): { readonly tag: string; readonly who: string } | undefined {
  const match = COMMENT.exec(comment ?? "");
  return match === null ? undefined : { tag: match[1] ?? "", who: match[2] ?? "" };
}

/** The key of something shared: eight hexadecimal digits. */
export function sharedKey({ name }: Pick<Shared, "name">): string {
  return hash(name).slice(0, 8);
}

/** What entries share, each once; with a family, those that have rules in it. */
export function sharedOf(entries: readonly Entry[], family?: Family): readonly Shared[] {
  const mine = entries.filter((entry) => family === undefined || entry.families.includes(family));
  const all = mine.flatMap(({ content }) => content.shared ?? []);
  return [...new Map(all.map((shared) => [sharedKey(shared), shared])).values()];
}

/** The comment of rules and elements that are shared. */
export function sharedComment(shared: Shared): string {
  return `shared.${sharedKey(shared)} ${shared.name}`.slice(0, COMMENT_LENGTH);
}

/** Reads such a comment; undefined if it is none. */
export function parseSharedComment(comment: string | undefined): string | undefined {
  return /^shared\.([0-9a-f]{8}) /.exec(comment ?? "")?.[1];
}

/** What stands for a container in the names of its files, unless it has more host ports than a name can hold. */
export function holderOf(containerId: string): string {
  return `@${hash(containerId).slice(0, 8)}@`;
}

/** Whether the entry of that name is one of host ports. */
export function isPublished(file: string): boolean {
  return file.includes("-publish-");
}

/** The file name of an entry. It tells what a decision needs that must not cost reading all files. */
export function entryFile(entry: Pick<Entry, "attachment" | "part" | "families" | "content" | "ports">): string {
  const shared = (entry.content.shared ?? []).map((one) => `-${sharedKey(one)}`).join("");
  return `${tagOf(entry.attachment)}-${entry.part}-${entry.families.join("")}${shared}${holding(entry)}.json`;
}

/** `@` and the container, `@` and its host ports; nothing where they do not fit into a name. */
function holding({ attachment, ports }: Pick<Entry, "attachment" | "ports">): string {
  const numbers = [...new Set(ports.map(({ port }) => port))].join(".");
  if (numbers === "" || numbers.length > PORTS_LENGTH) return "";
  return `${holderOf(attachment.containerId)}${numbers}`;
}

/** Reads a file name; undefined for other files. */
export function parseEntryFile(engine: KeeperName, file: string): EntryName | undefined {
  const match = ENTRY_FILE.exec(file);
  if (match === null) return undefined;
  const [, tag = "", part = "", families = "", keys = "", ports] = match;
  return {
    file,
    engine,
    part: part as Part,
    tag,
    families: families === "46" ? [4, 6] : [families === "4" ? 4 : 6],
    shared: keys === "" ? NONE : keys.slice(1).split("-"),
    ...(ports === undefined ? {} : { ports: ports.split(".").map(Number) }),
  };
}

/**
 * Reads an entry from its file.
 *
 * @throws TsnetError `decoding` for anything that we did not write.
 */
export function parseEntry(text: string, path: string): Entry {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TsnetError(`${path} is not JSON`, { code: "decoding", op: "read state", cause: error });
  }
  if (isRecord(value) && value.version === VERSION) return value as unknown as Entry;
  throw new TsnetError(`${path} is of another version of tsnet`, { code: "decoding", op: "read state" });
}

/** An entry as text for its file. */
export function formatEntry(entry: Entry): string {
  return `${JSON.stringify({ version: VERSION, ...entry })}\n`;
}

// A file is written whole or not at all and only by us, so its version vouches for its shape.
const VERSION = 1;
const COMMENT_LENGTH = 120;
const COMMENT = /^([0-9a-f]{8}\.[0-9a-f]{16}) (.*)$/;
const ENTRY_FILE =
  /^([0-9a-f]{8}\.[0-9a-f]{16})-(masquerade|publish|accept|forward)-(4|6|46)((?:-[0-9a-f]{8})*)(?:@[0-9a-f]{8}@([0-9.]+))?\.json$/;
const NONE: readonly string[] = [];
// Of a name's 255 bytes. Nobody publishes more but by a range.
const PORTS_LENGTH = 120;

function hash(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
