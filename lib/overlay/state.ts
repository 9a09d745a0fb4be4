/**
 * What the overlay's agent tells the processes beside it, its CNI plugin and `tsnet overlay status`, in one file.
 *
 * The file also names the boot, as subnet.env does: what was true before a reboot counts for nothing.
 * Whether its process still lives is for its reader to ask: an agent in a container has a number of its own there.
 *
 * @module
 */
import { messageOf, TsnetError } from "../errors.ts";
import { makeDirectory, readIfThere, removeFile, replaceFile } from "../sys/files.ts";
import { thisBoot } from "./boot.ts";

/** Where the agent writes it unless told otherwise. */
export const STATE_FILE = "/run/tsnet/overlay/agent.json";

/** Of {@link STATE_FILE}. */
export interface AgentState {
  /** The agent's process, and when it started (the kernel's count, /proc/PID/stat field 22), to tell it from another of the same number. */
  readonly pid: number;
  readonly started: string;
  /** Ms since 1970 of this text. */
  readonly written: number;
  readonly host: string;
  readonly source: string;
  /** Whether changes are heard of from the source. */
  readonly connected: boolean;
  /** What keeps containers from being attached (50) or leaves those that are there badly connected (51). */
  readonly trouble?: AgentTrouble;
  readonly subnetFile: string;
  /** CIDRs. */
  readonly networks: readonly string[];
  readonly subnets: readonly string[];
  readonly backend: string;
  readonly vni?: number;
  /** Bytes, of containers. */
  readonly mtu?: number;
  readonly underlay?: { readonly name: string; readonly addresses: readonly string[]; readonly mtu: number };
  readonly devices: readonly { readonly name: string; readonly mac: string; readonly address: string }[];
  readonly peers: readonly AgentPeer[];
  /** Records of the source that are not used, with the reason. */
  readonly refused: readonly { readonly key: string; readonly reason: string }[];
}

export interface AgentTrouble {
  /** STATUS's code: CNI 1.1.0, section 2, "STATUS". */
  readonly code: 50 | 51;
  readonly message: string;
}

export interface AgentPeer {
  readonly key: string;
  readonly host: string;
  readonly subnets: readonly string[];
  /** On the underlay. */
  readonly addresses: readonly string[];
  readonly macs: readonly string[];
  /** `vxlan`, `direct`, `router 192.0.2.1`, `none: ...`. */
  readonly way: string;
  /** The first address of its subnet of each family, which answers pings; empty where none does (host-gw). */
  readonly probes: readonly string[];
}

/**
 * The state at `path`; undefined if it is not there, or is of an earlier boot.
 *
 * @throws TsnetError `decoding` for what no agent wrote, `io`.
 */
export function readAgentState(path = STATE_FILE): AgentState | undefined {
  const text = readIfThere(path);
  return text === undefined ? undefined : parseState(text, path);
}

/**
 * The trouble in the state at `path`, if any. Each attachment asks, so the half megabyte that a thousand peers make is
 * not parsed where the word does not stand in it.
 *
 * @throws TsnetError as {@link readAgentState}.
 */
export function readTrouble(path = STATE_FILE): AgentTrouble | undefined {
  const text = readIfThere(path);
  return text?.includes('"trouble"') === true ? parseState(text, path)?.trouble : undefined;
}

/** Puts the state at `path`, whole or not at all. */
export function writeAgentState(path: string, state: AgentState): void {
  makeDirectory(path.slice(0, Math.max(1, path.lastIndexOf("/"))));
  replaceFile(path, `${JSON.stringify({ boot: thisBoot(), ...state })}\n`);
}

/** Removes the file; true if it was there. */
export function removeAgentState(path: string): boolean {
  return removeFile(path);
}

function parseState(text: string, path: string): AgentState | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TsnetError(`${path} is no JSON: ${messageOf(cause)}`, {
      code: "decoding",
      op: "read agent's state",
      cause,
    });
  }
  if (!isState(value)) {
    throw new TsnetError(`${path} is not what an overlay's agent writes: remove it and start the agent`, {
      code: "decoding",
      op: "read agent's state",
    });
  }
  const { boot, ...state } = value;
  return boot === undefined || boot === thisBoot() ? state : undefined;
}

/** Written by the agent alone, in one piece: its outline tells it from anything else. */
function isState(value: unknown): value is AgentState & { readonly boot?: unknown } {
  if (typeof value !== "object" || value === null) return false;
  const state: { readonly [key: string]: unknown } = { ...value };
  const lists = ["networks", "subnets", "devices", "peers", "refused"];
  return (
    typeof state.pid === "number" &&
    typeof state.started === "string" &&
    typeof state.host === "string" &&
    lists.every((key) => Array.isArray(state[key])) &&
    (state.trouble === undefined || isTrouble(state.trouble))
  );
}

function isTrouble(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const trouble: { readonly [key: string]: unknown } = { ...value };
  return (trouble.code === 50 || trouble.code === 51) && typeof trouble.message === "string";
}
