/**
 * DHCP's options by number, and their values: RFC 2132, 3397 (search list), 3442 (classless routes).
 *
 * What comes from a server is read as far as it makes sense; a value of a wrong length counts as absent, since one bad
 * option must not cost a container its address.
 *
 * @module
 */
import { type Address, addressFromBytes, parseAddress } from "../net/address.ts";
import { type Cidr, networkOf } from "../net/cidr.ts";

/** Names are those of the IANA registry "BOOTP Vendor Extensions and DHCP Options". */
export const OPTION = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  domainServer: 6,
  hostName: 12,
  domainName: 15,
  interfaceMtu: 26,
  staticRoute: 33,
  requestedAddress: 50,
  leaseTime: 51,
  overload: 52,
  messageType: 53,
  serverId: 54,
  parameterList: 55,
  message: 56,
  maxMessageSize: 57,
  renewalTime: 58,
  rebindingTime: 59,
  classId: 60,
  clientId: 61,
  userClass: 77,
  domainSearch: 119,
  classlessRoute: 121,
  /** Microsoft's number for what 121 became. */
  microsoftRoute: 249,
  end: 255,
} as const;

/** Options by number, each whole. */
export type Options = ReadonlyMap<number, Uint8Array>;

/** A route as a server gives it; without `via` what it leads to is on the link. */
export interface ServerRoute {
  readonly to: Cidr;
  readonly via: Address | undefined;
}

/** One address; undefined if absent or of a wrong length. */
export function addressOption(options: Options, code: number): Address | undefined {
  const value = options.get(code);
  return value?.length === 4 ? addressFromBytes(value) : undefined;
}

/** A list of addresses; none if absent. */
export function addressesOption(options: Options, code: number): readonly Address[] {
  return chunksOf(options.get(code), 4).map(addressFromBytes);
}

/** A number of 2 or 4 bytes, as `bytes` says. */
export function numberOption(options: Options, code: number, bytes: 2 | 4): number | undefined {
  const value = options.get(code);
  if (value?.length !== bytes) return undefined;
  return value.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** Text without the zeros that some servers end it with; undefined if nothing is left. */
export function textOption(options: Options, code: number): string | undefined {
  const text = new TextDecoder().decode(options.get(code)).replace(/\0+$/, "");
  return text === "" ? undefined : text;
}

/** The prefix length of the subnet mask; undefined if absent, or if its ones have gaps. */
export function prefixOption(options: Options): number | undefined {
  const mask = numberOption(options, OPTION.subnetMask, 4);
  if (mask === undefined) return undefined;
  const prefix = Math.clz32(~mask >>> 0);
  return (prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0) === mask ? prefix : undefined;
}

/** Option 33: pairs of destination and router, the destination's mask being that of its class. */
export function staticRoutes(options: Options): readonly ServerRoute[] {
  return chunksOf(options.get(OPTION.staticRoute), 8).map((pair) => {
    const address = addressFromBytes(pair.subarray(0, 4));
    const to = networkOf({ address, prefix: prefixOfClass(pair[0] ?? 0) });
    return { to, via: addressFromBytes(pair.subarray(4)) };
  });
}

/** Options 121 and 249: prefix length, as many bytes of the destination as it covers, router. */
export function classlessRoutes(options: Options, code: number): readonly ServerRoute[] {
  const bytes = options.get(code) ?? new Uint8Array();
  const routes: ServerRoute[] = [];
  for (let at = 0; at < bytes.length; ) {
    const prefix = bytes[at] ?? 0;
    const significant = Math.ceil(prefix / 8);
    const end = at + 1 + significant + 4;
    if (prefix > 32 || end > bytes.length) return [];
    const destination = new Uint8Array(4);
    destination.set(bytes.subarray(at + 1, at + 1 + significant));
    const via = addressFromBytes(bytes.subarray(end - 4, end));
    routes.push({
      to: networkOf({ address: addressFromBytes(destination), prefix }),
      via: via.value === 0n ? undefined : via,
    });
    at = end;
  }
  return routes;
}

/** Option 119: names in DNS's form, with its compression; the names up to the first that makes no sense. */
export function searchList(options: Options): readonly string[] {
  const bytes = options.get(OPTION.domainSearch) ?? new Uint8Array();
  const names: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const read = nameAt(bytes, at);
    if (read === undefined) break;
    if (read.name !== "") names.push(read.name);
    at = read.end;
  }
  return names;
}

/** The name that begins at `start`, and where the next one does. RFC 1035, section 4.1.4. */
function nameAt(bytes: Uint8Array, start: number): { readonly name: string; readonly end: number } | undefined {
  const labels: string[] = [];
  let end: number | undefined;
  for (let at = start; ; ) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length === 0) return { name: labels.join("."), end: end ?? at + 1 };
    if (length >= 0xc0) {
      const target = (length & 0x3f) * 256 + (bytes[at + 1] ?? 0xff);
      // Only backwards, so that it ends.
      if (target >= at) return undefined;
      end ??= at + 2;
      at = target;
      continue;
    }
    if (length > 63 || at + 1 + length > bytes.length) return undefined;
    labels.push(new TextDecoder().decode(bytes.subarray(at + 1, at + 1 + length)));
    at += 1 + length;
  }
}

/** RFC 791: A below 128, B below 192, C above; D and E have no networks, so that one is a host. */
function prefixOfClass(first: number): number {
  if (first < 128) return 8;
  if (first < 192) return 16;
  return first < 224 ? 24 : 32;
}

function chunksOf(bytes: Uint8Array | undefined, size: number): readonly Uint8Array[] {
  const count = Math.floor((bytes?.length ?? 0) / size);
  return Array.from({ length: count }, (_, i) => (bytes ?? new Uint8Array()).subarray(i * size, (i + 1) * size));
}

/** The broadcast address of all that is near. */
export const EVERYBODY = parseAddress("255.255.255.255");
