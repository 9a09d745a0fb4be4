/**
 * Published ports: `[hostIP:]host:container[/proto]`, single or in ranges of the same length. Without a host port, or
 * with 0, one is chosen (plan/choose.ts).
 *
 * @module
 */
import { type Address, formatAddress, parseAddress, sameAddress } from "../../lib/net/address.ts";
import type { Protocol, PublishedPort } from "./project.ts";

/** What a port entry may look like, for messages. */
export const PORT_FORM =
  '[hostIP:]host:container[/tcp|udp|sctp] with ports from 1 to 65535, such as "8080:80", "127.0.0.1:53:53/udp" or "8000-8009:9000-9009"; "80" and "0:80" have a free port of the host chosen';

const FORM = /^(?:(?:(\[[^\]]+\]|[^:[\]]+):)?(\d+(?:-\d+)?)?:)?(\d+(?:-\d+)?)(?:\/([a-z]+))?$/i;

/** The ports of one entry, or undefined if it is none. */
export function parsePorts(text: string): readonly PublishedPort[] | undefined {
  const [matched, ip, host = "", container = "", proto = "tcp"] = FORM.exec(text) ?? [];
  const protocol = protocolOf(proto);
  const containerPorts = parseRange(container);
  const hostPorts = /^0*$/.test(host) ? containerPorts?.map(() => 0) : parseRange(host);
  if (matched === undefined || protocol === undefined || hostPorts === undefined || containerPorts === undefined)
    return undefined;
  if (hostPorts.length !== containerPorts.length) return undefined;
  const hostIp = ip === undefined ? {} : { hostIp: parseAddress(ip.replace(/^\[|\]$/g, "")) };
  return hostPorts.map((hostPort, at) => ({ ...hostIp, hostPort, containerPort: containerPorts[at] ?? 0, protocol }));
}

/** What is wrong with the numbers of an entry that is else well formed; undefined where nothing is, or more. */
export function whyNotPorts(text: string): string | undefined {
  const [, ports = ""] = /^(?:\[[^\]]*\]:|\d+\.[\d.]+:)?([^/]*)(?:\/[a-z]+)?$/i.exec(text) ?? [];
  const sides = ports.split(":");
  if (sides.length > 2) return undefined;
  for (const side of sides) {
    if (/^[a-z][a-z-]*$/i.test(side))
      return `found "${text}": "${side}" is no number; write it as one, such as "8080:80"`;
    const beyond = /^\d+(-\d+)?$/.test(side) ? side.split("-").find((one) => Number(one) > 65535) : undefined;
    if (beyond !== undefined) return `found "${text}": ${beyond} is no port, they end at 65535`;
  }
  return undefined;
}

/** Whether both would claim the same port of the host: no address means all of them. What is to be chosen never does. */
export function collide(one: PublishedPort, other: PublishedPort): boolean {
  if (one.hostPort === 0 || one.hostPort !== other.hostPort || one.protocol !== other.protocol) return false;
  const [a, b] = [one.hostIp, other.hostIp];
  if (a === undefined || b === undefined) return true;
  if (a.family !== b.family) return false;
  return a.value === 0n || b.value === 0n || sameAddress(a, b);
}

/** `127.0.0.1:8080->80/tcp`, as the table shows it. */
export function formatPort({ hostIp, hostPort, containerPort, protocol }: PublishedPort): string {
  return `${hostSide({ hostIp, hostPort })}->${containerPort}/${protocol}`;
}

/** The same for many: neighbours that lead to neighbours are one, `8000-8009->9000-9009/tcp`. */
export function formatPorts(ports: readonly PublishedPort[]): readonly string[] {
  const runs: PublishedPort[][] = [];
  for (const port of ports) {
    const last = runs.at(-1)?.at(-1);
    if (last !== undefined && follows(last, port)) runs.at(-1)?.push(port);
    else runs.push([port]);
  }
  return runs.flatMap(([first, ...rest]) => {
    if (first === undefined) return [];
    const last = rest.at(-1);
    if (last === undefined) return [formatPort(first)];
    const { containerPort, protocol } = first;
    return [`${hostSide(first)}-${last.hostPort}->${containerPort}-${last.containerPort}/${protocol}`];
  });
}

function follows(one: PublishedPort, next: PublishedPort): boolean {
  const [a, b] = [one.hostIp, next.hostIp];
  const sameHost = a === undefined || b === undefined ? a === b : sameAddress(a, b);
  const inStep = next.hostPort === one.hostPort + 1 && next.containerPort === one.containerPort + 1;
  return sameHost && inStep && one.protocol === next.protocol;
}

/** `8080/tcp` or `127.0.0.1:8080/tcp`, for messages. */
export function formatHostPort({ hostIp, hostPort, protocol }: PublishedPort): string {
  return `${hostSide({ hostIp, hostPort })}/${protocol}`;
}

function hostSide({ hostIp, hostPort }: { readonly hostIp?: Address | undefined; readonly hostPort: number }): string {
  if (hostIp === undefined) return String(hostPort);
  const text = formatAddress(hostIp);
  return `${hostIp.family === 6 ? `[${text}]` : text}:${hostPort}`;
}

function protocolOf(text: string): Protocol | undefined {
  const lower = text.toLowerCase();
  return lower === "tcp" || lower === "udp" || lower === "sctp" ? lower : undefined;
}

function parseRange(text: string): readonly number[] | undefined {
  const [first = 0, last = first] = text.split("-").map(Number);
  if (first < 1 || last > 65535 || last < first) return undefined;
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}
