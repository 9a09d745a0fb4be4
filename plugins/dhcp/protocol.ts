/**
 * What plugin and daemon say to each other: JSON over HTTP, so that curl(1) can listen in.
 *
 *     POST /allocate   Wish            -> Held, or Failure
 *     POST /check      Attachment      -> Held, or Failure
 *     POST /release    Attachment      -> { released }, or Failure
 *     POST /collect    Collection      -> { released }, or Failure
 *     GET  /leases                     -> { leases: Held[] }
 *
 * @module
 */
import { objectAt, objectOf } from "../../lib/cni/object.ts";
import type { Attachment, ConfigObject } from "../../lib/cni/types.ts";
import type { Options } from "../../lib/dhcp/options.ts";
import { type ErrorCode, isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { type Address, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { type Cidr, formatCidr, parseCidr } from "../../lib/net/cidr.ts";

/** What an ADD asks for. */
export interface Wish {
  readonly attachment: Attachment;
  /** Path of the container's namespace. */
  readonly netns: string;
  /** Options to tell the server, by number. */
  readonly provide: Options;
  /** Numbers of the options to ask the server for. */
  readonly request: readonly number[];
}

/** What GC is about: of this network, all attachments but these. */
export interface Collection {
  readonly network: string;
  readonly keep: readonly Pick<Attachment, "containerId" | "ifname">[];
}

/** A lease as the daemon holds it. */
export interface Held {
  readonly attachment: Attachment;
  readonly address: Cidr;
  readonly server: Address;
  /** All that the server said. */
  readonly options: Options;
  /** MTU of the link, in bytes. */
  readonly mtu: number;
  /** Seconds until the lease ends; absent where it does not. */
  readonly secondsLeft?: number;
}

type Json = Readonly<Record<string, unknown>>;

export function encodeWish({ attachment, netns, provide, request }: Wish): Json {
  return { attachment, netns, provide: encodeOptions(provide), request };
}

/** @throws TsnetError `decoding`. */
export function parseWish(body: unknown): Wish {
  const wish = objectOf(body, "the request");
  return {
    attachment: attachmentIn(wish),
    netns: text(wish, "netns"),
    provide: optionsIn(wish, "provide"),
    request: numbersIn(wish, "request"),
  };
}

/** The attachment that a body names. @throws TsnetError `decoding`. */
export function parseAttachment(body: unknown): Attachment {
  return attachmentIn(objectOf(body, "the request"));
}

/** @throws TsnetError `decoding`. */
export function parseCollection(body: unknown): Collection {
  const collection = objectOf(body, "the request");
  const keep = (collection.objects("keep") ?? []).map((one) => ({
    containerId: text(one, "containerId"),
    ifname: text(one, "ifname"),
  }));
  return { network: text(collection, "network"), keep };
}

export function encodeHeld({ address, server, options, ...rest }: Held): Json {
  return { ...rest, address: formatCidr(address), server: formatAddress(server), options: encodeOptions(options) };
}

/** @throws TsnetError what the daemon answered instead; `decoding`. */
export function parseHeld(answer: unknown): Held {
  const held = succeeded(answer);
  const secondsLeft = held.number("secondsLeft");
  return {
    attachment: attachmentIn(held),
    address: parseCidr(text(held, "address")),
    server: parseAddress(text(held, "server")),
    options: optionsIn(held, "options"),
    mtu: held.integer("mtu") ?? 0,
    ...(secondsLeft === undefined ? {} : { secondsLeft }),
  };
}

/** How many leases were given back. @throws TsnetError what the daemon answered instead; `decoding`. */
export function parseReleased(answer: unknown): number {
  return succeeded(answer).integer("released") ?? 0;
}

/** @throws TsnetError what the daemon answered instead; `decoding`. */
export function parseLeases(answer: unknown): readonly unknown[] {
  const leases = succeeded(answer).array("leases");
  if (leases === undefined) throw new TsnetError("leases is missing", { code: "decoding", op: "DHCP" });
  return leases;
}

export function encodeFailure(error: unknown): Json {
  return { error: { code: isTsnetError(error) ? error.code : "io", message: messageOf(error) } };
}

function succeeded(answer: unknown): ConfigObject {
  const object = objectOf(answer, "the daemon's answer");
  const error = object.object("error");
  if (error === undefined) return object;
  const code = CODES.find((one) => one === error.string("code")) ?? "io";
  throw new TsnetError(error.string("message") ?? "", { code, op: "DHCP" });
}

/** What the daemon fails with. */
const CODES: readonly ErrorCode[] = [
  "timeout",
  "conflict",
  "decoding",
  "check-failed",
  "invalid-netns",
  "not-found",
  "permission",
];

/** Values in hexadecimal under their numbers. */
export function encodeOptions(options: Options): Json {
  return Object.fromEntries([...options].map(([code, value]) => [code, Buffer.from(value).toString("hex")]));
}

/** @throws TsnetError `decoding`. */
export function optionsIn(object: ConfigObject, key: string): Options {
  const options = objectAt(object.value(key) ?? {}, key);
  return new Map(options.keys().map((code) => [Number(code), Buffer.from(text(options, code), "hex")] as const));
}

/** @throws TsnetError `decoding`. */
export function numbersIn(object: ConfigObject, key: string): readonly number[] {
  return (object.array(key) ?? []).map(Number);
}

/** @throws TsnetError `decoding`. */
export function attachmentIn(object: ConfigObject): Attachment {
  const attachment = objectAt(object.value("attachment") ?? object.raw, "attachment");
  return {
    network: text(attachment, "network"),
    containerId: text(attachment, "containerId"),
    ifname: text(attachment, "ifname"),
  };
}

/** @throws TsnetError `decoding` if it is not there. */
export function text(object: ConfigObject, key: string): string {
  const value = object.string(key);
  if (value === undefined) throw new TsnetError(`${key} is missing`, { code: "decoding", op: "DHCP" });
  return value;
}
