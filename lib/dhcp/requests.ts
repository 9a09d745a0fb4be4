/**
 * What a client says in each state: RFC 2131, table 5. Pure.
 *
 * @module
 */
import { type Address, addressBytes } from "../net/address.ts";
import type { Lease } from "./lease.ts";
import { MESSAGE, type Outgoing } from "./message.ts";
import { OPTION, type Options } from "./options.ts";

/** Who asks, and for what. */
export interface Client {
  /** 6 bytes. */
  readonly mac: Uint8Array;
  /** Option 61, its type byte included. One that is provided takes its place. */
  readonly id: Uint8Array;
  /** Told to the server with every request. */
  readonly provided: Options;
  /** Numbers of the options that the server is asked for; with none it is left to the server. */
  readonly requested: readonly number[];
  /** Whether answers shall come to everybody on the link: for links that share one address. */
  readonly broadcast: boolean;
}

/** Where in a conversation a message stands. */
export interface Moment {
  readonly xid: number;
  /** Since the conversation began. */
  readonly seconds: number;
}

/** An offer that is to be taken. */
export interface Choice {
  readonly address: Address;
  readonly server: Address;
}

/** What fits into a frame of any link, without IP and UDP headers. */
const MAX_MESSAGE = 1472;

/** `wanted` is an address to be had again, if possible. */
export function discover(client: Client, moment: Moment, wanted?: Address): Outgoing {
  return asking(
    client,
    moment,
    MESSAGE.discover,
    wanted === undefined ? [] : [address(OPTION.requestedAddress, wanted)],
  );
}

export function select(client: Client, moment: Moment, choice: Choice): Outgoing {
  const { address: wanted, server } = choice;
  return asking(client, moment, MESSAGE.request, [
    address(OPTION.requestedAddress, wanted),
    address(OPTION.serverId, server),
  ]);
}

/** Asks for more time: the server itself, or any. */
export function renew(client: Client, moment: Moment, lease: Lease): Outgoing {
  // The server answers at the address, so nobody else has to hear it.
  return { ...asking(client, moment, MESSAGE.request, []), broadcast: false, clientAddress: lease.address.address };
}

export function release(client: Client, xid: number, lease: Lease): Outgoing {
  const id = client.provided.get(OPTION.clientId) ?? client.id;
  return {
    type: MESSAGE.release,
    xid,
    seconds: 0,
    broadcast: false,
    clientAddress: lease.address.address,
    mac: client.mac,
    options: new Map([address(OPTION.serverId, lease.server), [OPTION.clientId, id]]),
  };
}

function asking(
  { mac, id, provided, requested, broadcast }: Client,
  { xid, seconds }: Moment,
  type: number,
  more: readonly (readonly [number, Uint8Array])[],
): Outgoing {
  const options = new Map<number, Uint8Array>([
    [OPTION.clientId, id],
    ...more,
    [OPTION.maxMessageSize, Uint8Array.of(MAX_MESSAGE >> 8, MAX_MESSAGE & 0xff)],
  ]);
  if (requested.length > 0) options.set(OPTION.parameterList, Uint8Array.from(requested));
  for (const [code, value] of provided) options.set(code, value);
  return { type, xid, seconds, broadcast, mac, options };
}

function address(code: number, value: Address): readonly [number, Uint8Array] {
  return [code, addressBytes(value)];
}
