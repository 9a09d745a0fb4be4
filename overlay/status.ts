/**
 * How this host's overlay fares, as `tsnet overlay status` asks: what the agent wrote of itself, whether it still runs,
 * and which peers answer, asked here and now.
 *
 * @module
 */
import { isTsnetError } from "../lib/errors.ts";
import { type Address, formatAddress, parseAddress } from "../lib/net/address.ts";
import { type AgentPeer, type AgentState, readAgentState } from "../lib/overlay/state.ts";
import { exists, lockFile } from "../lib/sys/files.ts";
import { identify } from "../lib/sys/process.ts";

export interface OverlayStatus extends Omit<AgentState, "peers"> {
  readonly running: boolean;
  /** Whether containers can be attached. */
  readonly ready: boolean;
  readonly peers: readonly PeerStatus[];
}

export interface PeerStatus extends AgentPeer {
  /** None if nobody was asked. */
  readonly answers: readonly PeerAnswer[];
  /** Whether all addresses that were asked answered; undefined if none was. */
  readonly reachable: boolean | undefined;
}

export interface PeerAnswer {
  readonly address: string;
  /** Of the network, or of what lies below it. */
  readonly of: "overlay" | "underlay";
  /** Round-trip time in ms; undefined: no answer. */
  readonly rtt: number | undefined;
}

/** Asks each address once (overlay/probe/ping.ts): round-trip times in ms by address, undefined where none answered. */
export type Ping = (addresses: readonly Address[]) => Promise<ReadonlyMap<string, number | undefined>>;

/**
 * The status by the state that the agent keeps in `stateDir`; undefined if no agent has run since the host's start.
 *
 * @param ping How peers are asked; undefined: they are not.
 * @throws TsnetError `decoding`, `io`, and what `ping` throws.
 */
export async function overlayStatus(stateDir: string, ping: Ping | undefined): Promise<OverlayStatus | undefined> {
  const state = readAgentState(`${stateDir}/agent.json`);
  if (state === undefined) return undefined;
  const asked = state.peers.map(addressesToAsk);
  const answers = await ping?.(asked.flat().map(({ address }) => parseAddress(address)));
  const running = isRunning(state, stateDir);
  return {
    ...state,
    running,
    ready: running && state.trouble === undefined,
    peers: state.peers.map((peer, at) => answered(peer, asked[at] ?? [], answers)),
  };
}

type Asked = Omit<PeerAnswer, "rtt">;

/** Through the network where the peer has an address there that answers, else beneath it. */
function addressesToAsk({ probes, addresses }: AgentPeer): readonly Asked[] {
  if (probes.length > 0) return probes.map((address) => ({ address, of: "overlay" }));
  return addresses.map((address) => ({ address, of: "underlay" }));
}

function answered(
  peer: AgentPeer,
  asked: readonly Asked[],
  rtts: ReadonlyMap<string, number | undefined> | undefined,
): PeerStatus {
  if (rtts === undefined) return { ...peer, answers: [], reachable: undefined };
  const answers = asked.map((one) => ({ ...one, rtt: rtts.get(formatAddress(parseAddress(one.address))) }));
  const reachable = answers.length === 0 ? undefined : answers.every(({ rtt }) => rtt !== undefined);
  return { ...peer, answers, reachable };
}

/** By its process; by its lock where it has another number than we see, in a container. */
function isRunning({ pid, started }: AgentState, stateDir: string): boolean {
  if (String(identify(pid)?.startTime) === started) return true;
  const path = `${stateDir}/agent.lock`;
  if (!exists(path)) return false;
  try {
    lockFile(path, 0, true).release();
    return false;
  } catch (error) {
    if (isTsnetError(error, "busy")) return true;
    throw error;
  }
}
