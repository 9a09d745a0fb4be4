/**
 * What a server lent: an address, for how long, and what it said beside it.
 *
 * Moments are of the caller's clock, in ms. The options stay as they came: the plugin that asked knows what to make of
 * them.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { Address } from "../net/address.ts";
import type { Cidr } from "../net/cidr.ts";
import type { Incoming } from "./message.ts";
import { addressOption, numberOption, OPTION, type Options, prefixOption } from "./options.ts";

export interface Lease {
  readonly address: Cidr;
  readonly server: Address;
  /** Who brought the answer: the server, or the relay on the way to it. 6 bytes. */
  readonly via: Uint8Array;
  readonly options: Options;
  /** When to ask the server for more time (T1). */
  readonly renewAt: number;
  /** When to ask any server (T2). */
  readonly rebindAt: number;
  /** Infinity where the server gave it for ever. */
  readonly expiresAt: number;
}

/** Where the server does not say: an hour, as the reference has it. */
const DEFAULT_SECONDS = 3600;
const FOREVER = 0xffffffff;

export interface Acknowledgement {
  readonly message: Incoming;
  /** Link address of whoever brought it. */
  readonly via: Uint8Array;
  /** When it was asked for: the lease counts from there (RFC 2131, section 4.4.1). */
  readonly askedAt: number;
  /** The lease that this one prolongs: some servers say all only once. */
  readonly before?: Lease;
}

/** @throws TsnetError `decoding` for an answer without subnet mask or server. */
export function leaseOf({ message, via, askedAt, before }: Acknowledgement): Lease {
  const options = new Map([...(before?.options ?? []), ...message.options]);
  const prefix = prefixOption(options);
  if (prefix === undefined) throw incomplete("a subnet mask (option 1): have the server send one");
  const server = addressOption(options, OPTION.serverId);
  if (server === undefined) throw incomplete("the server's address (option 54)");
  return { address: { address: message.yourAddress, prefix }, server, via, options, ...timesOf(options, askedAt) };
}

/** A half and seven eighths of the time, unless the server says otherwise and that makes sense. RFC 2131, section 4.4.5. */
function timesOf(options: Options, from: number): Pick<Lease, "renewAt" | "rebindAt" | "expiresAt"> {
  // Nobody could use an address for less than a second.
  const seconds = Math.max(1, numberOption(options, OPTION.leaseTime, 4) ?? DEFAULT_SECONDS);
  const whole = seconds === FOREVER ? Number.POSITIVE_INFINITY : seconds;
  const t2 = numberOption(options, OPTION.rebindingTime, 4) ?? whole;
  const rebind = t2 < whole ? t2 : (whole * 7) / 8;
  const t1 = numberOption(options, OPTION.renewalTime, 4) ?? whole;
  const renew = t1 < rebind ? t1 : Math.min(whole / 2, rebind);
  return { renewAt: from + renew * 1000, rebindAt: from + rebind * 1000, expiresAt: from + whole * 1000 };
}

function incomplete(what: string): TsnetError {
  return new TsnetError(`the DHCP server's answer lacks ${what}`, { code: "decoding", op: "DHCP" });
}
