/**
 * `tsnet overlay status`: this host first, then a line for each peer, then what is not used.
 *
 * @module
 */
import { parseDuration } from "../lib/daemon/duration.ts";
import { TsnetError } from "../lib/errors.ts";
import { writeStdout } from "../lib/sys/stdio.ts";
import { pingAll } from "../overlay/probe/ping.ts";
import { type OverlayStatus, overlayStatus, type PeerStatus, type Ping } from "../overlay/status.ts";
import { type Column, EXIT, formatOf, printJson, printRows, type Style, styled, usageError } from "./output.ts";

export interface OverlayStatusOptions {
  readonly stateDir: string;
  readonly timeout: string;
  readonly ping: boolean;
  readonly output?: unknown;
}

/** Prints it and returns the exit code: 1 if the host is not ready. @throws TsnetError `usage`, `not-found`, `io`. */
export async function showStatus(options: OverlayStatusOptions): Promise<number> {
  const timeoutMs = parseDuration(options.timeout);
  if (timeoutMs === undefined || timeoutMs <= 0) {
    throw usageError(`--timeout ${options.timeout} is no duration`, "write one such as 1s or 500ms");
  }
  const ping: Ping = (addresses) => pingAll(addresses, { timeoutMs });
  const status = await overlayStatus(options.stateDir, options.ping ? ping : undefined);
  if (status === undefined) {
    throw new TsnetError(
      `no agent has run here since the host's start: nothing in ${options.stateDir}; start it with tsnet overlay`,
      { code: "not-found", op: "overlay status" },
    );
  }
  if (formatOf(options) === "json") printJson(status);
  else printStatus(status);
  return status.ready ? EXIT.ok : EXIT.failed;
}

function printStatus(status: OverlayStatus): void {
  const lines = hostLines(status).map(([title, text]) => `${styled(title.padEnd(10), "bold")}${text}\n`);
  writeStdout(`${lines.join("")}\n`);
  printRows("table", status.peers, PEER_COLUMNS);
  if (status.refused.length === 0) return;
  writeStdout("\n");
  printRows("table", status.refused, REFUSED_COLUMNS);
}

/** The host in lines of a title and a text; those that have nothing to say are left out. */
export function hostLines(status: OverlayStatus): readonly (readonly [string, string])[] {
  const { host, underlay, devices, networks, subnets, mtu } = status;
  const backend = `${status.backend}${status.vni === undefined ? "" : `, VNI ${status.vni}`}`;
  const lines: readonly (readonly [string, string])[] = [
    ["Host", `${host}: ${stateText(status)}`],
    ["Source", `${status.source}${status.connected ? "" : ` (${styled("no changes are heard of", "yellow")})`}`],
    ["Network", networks.length === 0 ? "" : `${networks.join(", ")} by ${backend}`],
    ["Subnet", subnets.join(", ")],
    [
      "Underlay",
      underlay === undefined ? "" : `${underlay.name} ${underlay.addresses.join(", ")}, MTU ${underlay.mtu}`,
    ],
    ["Device", devices.map(({ name, address, mac }) => [name, address, mac].filter(Boolean).join(" ")).join(", ")],
    ["MTU", mtu === undefined ? "" : `${mtu} for containers`],
  ];
  return lines.filter(([, text]) => text !== "");
}

function stateText({ running, ready, trouble }: OverlayStatus): string {
  if (ready) return styled("ready", "green");
  const reason = trouble === undefined ? "" : ` (${trouble.code}): ${trouble.message}`;
  // What the kernel holds goes on without it.
  return running
    ? `${styled("not ready", "red")}${reason}`
    : `${styled("the agent does not run", "red")}; the network stays as it was${reason}`;
}

const PEER_COLUMNS: readonly Column<PeerStatus>[] = [
  { title: "PEER", cell: ({ host }) => host },
  { title: "SUBNET", cell: ({ subnets }) => subnets.join(", ") },
  { title: "UNDERLAY", cell: ({ addresses }) => addresses.join(", ") },
  { title: "VTEP", cell: ({ macs }) => [...new Set(macs)].join(", ") || "-" },
  { title: "WAY", cell: ({ way }) => way },
  { title: "REACHABLE", cell: reachText, style: reachStyle },
  { title: "RTT", cell: rttText, align: "right" },
];

const REFUSED_COLUMNS: readonly Column<OverlayStatus["refused"][number]>[] = [
  { title: "NOT USED", cell: ({ key }) => key },
  { title: "REASON", cell: ({ reason }) => reason },
];

/** `yes`, `no`, `yes (underlay)`; of two families that differ, which one does not answer. */
function reachText({ answers, reachable }: PeerStatus): string {
  if (reachable === undefined) return "-";
  const silent = answers.filter(({ rtt }) => rtt === undefined);
  const where = answers.some(({ of }) => of === "underlay") ? " (underlay)" : "";
  if (reachable) return `yes${where}`;
  return silent.length === answers.length ? `no${where}` : `not ${silent.map(({ address }) => address).join(", ")}`;
}

function reachStyle({ reachable }: PeerStatus): Style | undefined {
  return reachable === undefined ? undefined : reachable ? "green" : "red";
}

function rttText({ answers }: PeerStatus): string {
  const texts = answers.flatMap(({ rtt }) =>
    rtt === undefined ? [] : `${rtt < 10 ? rtt.toFixed(2) : rtt.toFixed(0)} ms`,
  );
  return texts.length === 0 ? "-" : texts.join(", ");
}
