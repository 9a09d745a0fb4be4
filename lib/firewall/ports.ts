/**
 * Whether a host port is free: before anything is changed, since a redirection would take the traffic of whoever
 * has it without an error anywhere.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { type Address, addressFromBytes, formatAddress } from "../net/address.ts";
import { readIfThere } from "../sys/files.ts";
import { describe, type Entry, type HeldPort } from "./record.ts";
import type { Redirect } from "./redirect.ts";

/** @throws TsnetError `invalid` if one host port leads to two ports of the container. */
export function refuseAmbiguous(redirects: readonly Redirect[]): void {
  const seen = new Map<string, Redirect>();
  for (const redirect of redirects) {
    const { family, protocol, hostPort, hostIp } = redirect;
    const key = `${family} ${protocol} ${hostPort} ${hostIp}`;
    const other = seen.get(key);
    if (other !== undefined) {
      throw new TsnetError(
        `host port ${hostPort}/${protocol} is mapped twice: to container port ${other.targetPort} and to ${redirect.targetPort}`,
        { code: "invalid", op: "publish" },
      );
    }
    seen.set(key, redirect);
  }
}

/** @throws TsnetError `conflict` if an entry of somebody else has one of `ports`, naming whose it is. */
export function refuseHeld(ports: readonly HeldPort[], others: Iterable<Entry>): void {
  for (const { attachment, ports: held } of others) {
    for (const port of ports) {
      const rival = held.find((one) => collide(one, port));
      if (rival === undefined) continue;
      throw conflict(port, `the container ${describe(attachment)} has ${where(rival)}: remove it, or publish another`);
    }
  }
}

/** @throws TsnetError `conflict` if a program listens on one of `ports` in our own namespace. */
export function refuseListeners(ports: readonly HeldPort[]): void {
  const tables = new Map<string, string>();
  for (const port of ports) {
    for (const table of TABLES[port.protocol] ?? []) {
      const text = tables.get(table) ?? readIfThere(`/proc/thread-self/net/${table}`) ?? "";
      tables.set(table, text);
      const listener = listenersOf(text, port).find((address) => catches(address, port));
      if (listener === undefined) continue;
      const shown = `${listener.family === 6 ? `[${formatAddress(listener)}]` : formatAddress(listener)}:${port.port}`;
      const ss = `ss -ln${port.protocol === "tcp" ? "t" : "u"}p sport = :${port.port}`;
      throw conflict(port, `a program listens on ${shown} (${ss} names it): stop it, or publish another`);
    }
  }
}

// proc_net_tcp.rst; SCTP's listeners are in a table of another kind and are not looked at.
const TABLES: Readonly<Record<string, readonly string[]>> = { tcp: ["tcp", "tcp6"], udp: ["udp", "udp6"] };
/** TCP_LISTEN, and TCP_CLOSE, which an unconnected UDP socket is in. net/tcp_states.h */
const STATES: Readonly<Record<string, string>> = { tcp: "0A", udp: "07" };

function collide(a: HeldPort, b: HeldPort): boolean {
  if (a.family !== b.family || a.protocol !== b.protocol || a.port !== b.port) return false;
  return a.hostIp === undefined || b.hostIp === undefined || a.hostIp === b.hostIp;
}

/** The local addresses that are waited on at a port; what is connected to somebody waits for nobody else. */
function listenersOf(table: string, { port, protocol }: HeldPort): readonly Address[] {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const line = new RegExp(`: ([0-9A-F]+):${hex} 0+:0000 ${STATES[protocol]} `, "g");
  return [...table.matchAll(line)].map(([, address = ""]) => parseProcAddress(address));
}

/** Whether a socket on `address` would get packets for `port`: one on [::] gets those of IPv4, too. */
function catches(address: Address, port: HeldPort): boolean {
  if (address.value === 0n) return address.family === port.family || address.family === 6;
  if (address.family !== port.family) return false;
  return port.hostIp === undefined || port.hostIp === formatAddress(address);
}

/** Words of 32 bits in the byte order of the machine, little-endian on all that we build for. */
function parseProcAddress(hex: string): Address {
  const bytes = Buffer.from(hex, "hex");
  return addressFromBytes(bytes.swap32());
}

function conflict(port: HeldPort, why: string): TsnetError {
  return new TsnetError(`host port ${where(port)} is taken: ${why}`, { code: "conflict", op: "publish" });
}

function where({ protocol, port, hostIp }: HeldPort): string {
  if (hostIp === undefined) return `${port}/${protocol}`;
  return hostIp.includes(":") ? `[${hostIp}]:${port}/${protocol}` : `${hostIp}:${port}/${protocol}`;
}
