/**
 * The plugin's own keys, all under `ipam`, from unknown to typed, before the daemon is asked.
 *
 * Keys and defaults are those of the reference (cni.dev/plugins/current/ipam/dhcp), but for two: the socket, and that
 * the server is asked for name servers, too.
 *
 * @module
 */
import { emptyObject } from "../../lib/cni/object.ts";
import type { ConfigObject, PluginCall } from "../../lib/cni/types.ts";
import { OPTION, type Options } from "../../lib/dhcp/options.ts";
import { TsnetError } from "../../lib/errors.ts";
import { DEFAULT_SOCKET } from "./place.ts";

export interface DhcpConfig {
  /** Of the daemon. */
  readonly socket: string;
  /** Told to the server. */
  readonly provide: Options;
  /** Asked from the server, by number. */
  readonly request: readonly number[];
  /** Metric of the routes; undefined: the kernel's. */
  readonly priority: number | undefined;
}

// Routes are those that the reference would get: a server that is asked for 121 may leave out the router.
const REQUEST_DEFAULT = [OPTION.router, OPTION.subnetMask, OPTION.domainServer, OPTION.domainName, OPTION.domainSearch];

/** Names of dhcp-options(5) that the reference knows. */
const NAMES: Readonly<Record<string, number | undefined>> = {
  "dhcp-client-identifier": OPTION.clientId,
  "subnet-mask": OPTION.subnetMask,
  routers: OPTION.router,
  "host-name": OPTION.hostName,
  "user-class": OPTION.userClass,
  "vendor-class-identifier": OPTION.classId,
};

/** What the client itself says by these is not the config's to change. */
const RESERVED: ReadonlySet<number> = new Set([
  OPTION.pad,
  OPTION.requestedAddress,
  OPTION.overload,
  OPTION.messageType,
  OPTION.serverId,
  OPTION.parameterList,
  OPTION.end,
]);

/** One length byte. */
const MAX_VALUE = 255;
const MAX_PRIORITY = 0xffffffff;

/** All keys. @throws TsnetError `invalid` naming the key, what it holds and what is allowed; `decoding`. */
export function parseConfig(call: PluginCall): DhcpConfig {
  const ipam = ipamOf(call);
  const args = argumentsOf(call.args);
  const provide = (ipam.objects("provide") ?? []).flatMap((entry) => provided(entry, args));
  return {
    socket: parseSocket(call),
    provide: new Map(provide),
    request: requested(ipam.objects("request") ?? []),
    priority: parsePriority(ipam.integer("priority")),
  };
}

/**
 * The one key of DEL and GC: what ADD would refuse elsewhere must not stand in the way of giving a lease back.
 *
 * @throws TsnetError `invalid`, `decoding`.
 */
export function parseSocket(call: PluginCall): string {
  const socket = ipamOf(call).string("daemonSocketPath") || DEFAULT_SOCKET;
  if (!socket.startsWith("/")) {
    throw invalid(`ipam.daemonSocketPath is ${JSON.stringify(socket)}: it has to begin with "/"`);
  }
  return socket;
}

function ipamOf({ conf }: PluginCall): ConfigObject {
  return conf.raw.object("ipam") ?? emptyObject("ipam");
}

/** A value from the caller's arguments comes before the config's own. */
function provided(entry: ConfigObject, args: ReadonlyMap<string, string>): readonly (readonly [number, Uint8Array])[] {
  const name = optionName(entry);
  const code = optionNumber(entry, name);
  if (RESERVED.has(code))
    throw invalid(`${entry.at}.option is ${name}, which the DHCP client sets itself: leave it out`);
  const fromArg = entry.string("fromArg") ?? "";
  const value = (fromArg === "" ? undefined : args.get(fromArg)) ?? entry.string("value") ?? "";
  if (value === "") return [];
  const bytes = Buffer.from(value);
  if (bytes.length <= MAX_VALUE) return [[code, bytes]];
  throw invalid(`value too long for option ${JSON.stringify(name)}: ${bytes.length} bytes, allowed are ${MAX_VALUE}`);
}

function requested(entries: readonly ConfigObject[]): readonly number[] {
  const asked = entries.flatMap((entry) => {
    const name = optionName(entry);
    return name === "" ? [] : [optionNumber(entry, name)];
  });
  // One entry that says so does it for all.
  const skipDefault = entries.map((entry) => entry.boolean("skipDefault") ?? false).includes(true);
  return [...new Set([...asked, ...(skipDefault ? [] : REQUEST_DEFAULT)])];
}

/** As text or as a number, which is what people write. */
function optionName(entry: ConfigObject): string {
  const value = entry.value("option");
  return typeof value === "number" ? String(value) : (entry.string("option") ?? "");
}

function optionNumber(entry: ConfigObject, name: string): number {
  const known = Object.hasOwn(NAMES, name) ? NAMES[name] : undefined;
  if (known !== undefined) return known;
  const number = /^\d{1,3}$/.test(name) ? Number(name) : OPTION.end;
  if (number > OPTION.pad && number < OPTION.end) return number;
  const names = Object.keys(NAMES).join(", ");
  throw invalid(`${entry.at}.option is ${JSON.stringify(name)}: known are 1 to 254, ${names}`);
}

function parsePriority(priority = 0): number | undefined {
  if (priority < 0 || priority > MAX_PRIORITY)
    throw invalid(`ipam.priority is ${priority}, allowed are 0 (the kernel's) to ${MAX_PRIORITY}`);
  return priority === 0 ? undefined : priority;
}

/** Not strictly, as `args.ts` does: the caller's arguments are for any plugin, and this one reads what the config names. */
function argumentsOf(text: string): ReadonlyMap<string, string> {
  const pairs = text.split(";").map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]);
  return new Map(pairs.flatMap(([key = "", value = ""]) => (key === "" ? [] : [[key, value] as const])));
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "dhcp config" });
}
