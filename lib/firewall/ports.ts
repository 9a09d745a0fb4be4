/**
 * Whether a host port is free: before anything is changed, since a redirection would take the traffic of whoever
 * has it without an error anywhere.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { formatAddress } from "../net/address.ts";
import { type Listener, listeners } from "./listeners.ts";
import { collide, describe, type Entry, type HeldPort } from "./record.ts";
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
  // SCTP's listeners are in tables of another kind and are not looked at.
  for (const protocol of ["tcp", "udp"] as const) {
    const wanted = ports.filter((port) => port.protocol === protocol);
    if (wanted.length === 0) continue;
    const found = listeners(protocol, new Set(wanted.map(({ port }) => port)));
    for (const port of wanted) {
      const listener = found.find((one) => catches(one, port));
      if (listener === undefined) continue;
      const { address } = listener;
      const shown = address.family === 6 ? `[${formatAddress(address)}]` : formatAddress(address);
      const ss = `ss -ln${protocol[0]}p sport = :${port.port}`;
      throw conflict(port, `a program listens on ${shown}:${port.port} (${ss} names it): stop it, or publish another`);
    }
  }
}

/** Whether a socket would get packets for `port`. */
function catches({ address, port: at, bothFamilies }: Listener, port: HeldPort): boolean {
  if (at !== port.port) return false;
  if (address.family !== port.family) return bothFamilies;
  return address.value === 0n || port.hostIp === undefined || port.hostIp === formatAddress(address);
}

function conflict(port: HeldPort, why: string): TsnetError {
  return new TsnetError(`host port ${where(port)} is taken: ${why}`, { code: "conflict", op: "publish" });
}

function where({ protocol, port, hostIp }: HeldPort): string {
  if (hostIp === undefined) return `${port}/${protocol}`;
  return hostIp.includes(":") ? `[${hostIp}]:${port}/${protocol}` : `${hostIp}:${port}/${protocol}`;
}
