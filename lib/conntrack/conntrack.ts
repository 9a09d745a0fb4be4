/**
 * Connection tracking: what flows are there, and take some away.
 *
 * A flow that was set up before a rule keeps being translated as it was then: who changes NAT for UDP deletes the
 * flows of its port. {@link Conntrack} is what the rest of the house sees; `conntrack.fake.ts` is the double that
 * passes the same cases.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { type Address, formatAddress } from "../net/address.ts";
import type { Netns } from "../sys/netns.ts";
import { type RunResult, run } from "../sys/run.ts";
import { conntrackFailure, isNothing, isVanished } from "./errors.ts";
import { flushFlows } from "./flush.ts";
import { parseFlows } from "./listing.ts";
import { deleteWhileStreaming } from "./stream.ts";

/** One direction of a flow. Ports are undefined where the protocol has none. */
export interface FlowTuple {
  readonly src: Address;
  readonly dst: Address;
  readonly sport?: number;
  readonly dport?: number;
}

/** A tracked flow. */
export interface Flow {
  readonly family: 4 | 6;
  /** `tcp`, `udp`, `icmp`, ...; `unknown` for what conntrack has no name for. */
  readonly proto: string;
  /** As the first packet came in, before any translation. */
  readonly orig: FlowTuple;
  /** As answers are expected, so `reply.src` is whom a DNAT led to. */
  readonly reply: FlowTuple;
}

/** What all of must hold for a flow. */
export interface FlowFilter {
  readonly family: 4 | 6;
  readonly proto?: "tcp" | "udp" | "sctp";
  /** Destination port of the first packet. Needs `proto`. */
  readonly dport?: number;
  readonly origSrc?: Address;
  readonly origDst?: Address;
  readonly replySrc?: Address;
  readonly replyDst?: Address;
}

export interface Conntrack {
  /**
   * Deletes the flows that match; none is fine. Asks the kernel, and where that cannot look for them, goes through all.
   *
   * @throws TsnetError `invalid` for a port without a protocol; `permission`, `kernel-lacks`, `io`; by a program
   * also `not-found`, `program`.
   */
  deleteFlows(filter: FlowFilter): Promise<void>;
  /**
   * Deletes those of the flows that match to which `doomed` says yes, and returns how many. Goes through the kernel's
   * table piece by piece, letting other work in between, and keeps nothing of it: a host may have millions of flows.
   * `doomed` is asked while the table changes, so about a flow of that very moment never or twice.
   *
   * @throws TsnetError `invalid` for a port without a protocol; `permission`, `kernel-lacks`, `io`.
   */
  deleteFlowsIf(filter: FlowFilter, doomed: (flow: Flow) => boolean): Promise<number>;
  /** The flows that match, by `conntrack -L`. Throws as {@link deleteFlows} does. */
  listFlows(filter: FlowFilter): Promise<readonly Flow[]>;
}

export interface RealConntrackOptions {
  /** The namespace to work in, if not the one that the process is in. */
  readonly netns?: Netns;
  /** Put before `conntrack`, which alone is asked then: `["nsenter", "--net=/run/netns/x"]`. */
  readonly prefix?: readonly string[];
}

// On a busy host a few flows end while one try lasts.
const TRIES = 10;

/** The flows that the kernel tracks. */
export function realConntrack({ netns, prefix }: RealConntrackOptions = {}): Conntrack {
  const conntrack = (args: readonly string[]): Promise<RunResult> => {
    // The descriptor is the program's number 3.
    const lead = prefix ?? (netns === undefined ? [] : ["nsenter", "--net=/proc/self/fd/3"]);
    const [program = "conntrack", ...rest] = [...lead, "conntrack", ...args];
    return run(program, rest, netns === undefined ? { light: true } : { inheritFd: netns.fd });
  };
  const listFlows = async (filter: FlowFilter): Promise<readonly Flow[]> => {
    ensureFilter(filter);
    const args = ["-L", ...argsOf(filter)];
    const { exitCode, stdout, stderr } = await conntrack(args);
    if (exitCode !== 0) throw conntrackFailure(args, stderr);
    return parseFlows(stdout);
  };
  return {
    listFlows,
    async deleteFlows(filter) {
      ensureFilter(filter);
      if (prefix !== undefined) await deleteByProgram(["-D", ...argsOf(filter)], conntrack);
      else if (!flushFlows(filter, netns)) await deleteWhileStreaming(filter, () => true, netns);
    },
    async deleteFlowsIf(filter, doomed) {
      ensureFilter(filter);
      if (prefix === undefined) return deleteWhileStreaming(filter, doomed, netns);
      const condemned = (await listFlows(filter)).filter(doomed);
      for (const flow of condemned) await deleteByProgram(["-D", ...argsOfFlow(flow)], conntrack);
      return condemned.length;
    },
  };
}

/** `conntrack -D` gives up at the first flow that ends by itself meanwhile. */
async function deleteByProgram(
  args: readonly string[],
  conntrack: (args: readonly string[]) => Promise<RunResult>,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { exitCode, stderr } = await conntrack(args);
    if (exitCode === 0 || isNothing(stderr)) return;
    if (!isVanished(stderr) || tries === TRIES) throw conntrackFailure(args, stderr);
  }
}

function argsOfFlow({ family, proto, orig }: Flow): string[] {
  const ports = [
    ["--orig-port-src", orig.sport],
    ["--orig-port-dst", orig.dport],
  ] as const;
  return [
    ...argsOf({ family, origSrc: orig.src, origDst: orig.dst }),
    ...["-p", proto],
    ...ports.flatMap(([option, port]) => (port === undefined ? [] : [option, String(port)])),
  ];
}

function argsOf(filter: FlowFilter): string[] {
  const args = ["-f", filter.family === 4 ? "ipv4" : "ipv6"];
  const add = (option: string, value: string | number | undefined) => {
    if (value !== undefined) args.push(option, String(value));
  };
  const addAddress = (option: string, address: Address | undefined) => {
    if (address !== undefined) add(option, formatAddress(address));
  };
  add("-p", filter.proto);
  add("--orig-port-dst", filter.dport);
  addAddress("--orig-src", filter.origSrc);
  addAddress("--orig-dst", filter.origDst);
  addAddress("--reply-src", filter.replySrc);
  addAddress("--reply-dst", filter.replyDst);
  return args;
}

/** @throws TsnetError `invalid` for what conntrack cannot look for. */
export function ensureFilter({ family, proto, dport, origSrc, origDst, replySrc, replyDst }: FlowFilter): void {
  if (dport !== undefined && proto === undefined) throw invalid(`port ${dport} needs a protocol`);
  for (const address of [origSrc, origDst, replySrc, replyDst]) {
    if (address !== undefined && address.family !== family) {
      throw invalid(`${formatAddress(address)} is no IPv${family} address`);
    }
  }
}

function invalid(message: string): TsnetError {
  return new TsnetError(`conntrack: ${message}`, { code: "invalid", op: "conntrack" });
}
