/**
 * Whether TCP gets through to a peer's VXLAN device, or is lost there for its checksum: the kernel leaves that of a
 * tunnelled packet to the network card, and some cards, drivers and switches between get it wrong. The peer then drops
 * TCP and UDP without a word, while ping works.
 *
 * A connection to a port where nobody listens is refused, which is an answer. Where none comes, two comparisons tell a
 * wrong checksum from a firewall, which knows nothing of checksums:
 *
 * 1. The same SYN, its checksum computed here and not left to the card, is answered, again and again, while the
 *    kernel's own is not: the card is wrong.
 * 2. No TCP is answered, on several ports, one of which every host of a cluster has open to the others (kubelet's), nor
 *    a segment that is no SYN, as which some firewalls let pass, and all the while UDP without a checksum is answered:
 *    something on the way spoils TCP.
 *
 * Anything else is not held against checksums.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import { hasErrno } from "../../lib/errors.ts";
import { type Address, addressBytes, formatAddress } from "../../lib/net/address.ts";
import type { Netns } from "../../lib/sys/netns.ts";
import { TcpAttempt } from "../../lib/sys/rawsocket.ts";
import { pingAll } from "./ping.ts";
import { SoftwareProbe } from "./software.ts";

/** `inconclusive`: ping is answered, and a firewall may be why TCP is not. */
export type ChecksumVerdict = "fine" | "broken" | "unreachable" | "inconclusive";

export interface ProbeOptions {
  /**
   * Ms to wait for an answer, of which there are two stages. The kernel sends a SYN again after a second: 1,500 at least,
   * so that one that is lost by chance does not count.
   */
  readonly timeoutMs: number;
  /** Where, unless in the namespace that the process is in. */
  readonly netns?: Netns;
}

// discard: nobody has it any more.
const PORT = 9;
// What hosts have open to one another: SSH and kubelet; and ports that no rule names.
const OTHER_PORTS: readonly number[] = [22, 10250, 40009, 61009];
const LOOK_EVERY_MS = 5;
/** The comparison of stage 1 begins once the kernel's SYN ought to have been answered. */
const PATIENCE_MS = 100;
/** How often, in a stage, software's packets are sent. */
const TIMES = 4;
/** So many of them must be answered: the first of them and the last. */
const ANSWERS = 3;

/**
 * Probes the first address of a peer's subnet, which its VXLAN device has.
 *
 * @throws TsnetError `permission` without CAP_NET_RAW, once TCP is not answered.
 */
export async function probeChecksum(address: Address, options: ProbeOptions): Promise<ChecksumVerdict> {
  try {
    const first = await kernelAgainstSoftware(address, options);
    if (first.kernel !== undefined) return await judge(first.kernel, address, options);
    if (first.refused) return "inconclusive";
    if (first.software >= ANSWERS) return "broken";
    if (first.software > 0) return "inconclusive";
    const second = await tcpAgainstUdp(address, options);
    if (second.tcp !== undefined) return await judge(second.tcp, address, options);
    if (second.udp >= ANSWERS && !second.acks) return "broken";
    return second.udp > 0 || (await answersPing(address, options)) ? "inconclusive" : "unreachable";
  } catch (error) {
    if (hasErrno(error, "ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT")) return "unreachable";
    throw error;
  }
}

/** A refusal by TCP is the peer's. Word that a host is not reached may be a firewall's of the peer, or a router's. */
async function judge(answer: string, address: Address, options: ProbeOptions): Promise<ChecksumVerdict> {
  if (["ESTABLISHED", "ECONNREFUSED", "ECONNRESET"].includes(answer)) return "fine";
  return (await answersPing(address, options)) ? "fine" : "unreachable";
}

async function answersPing(address: Address, { timeoutMs, netns }: ProbeOptions): Promise<boolean> {
  const answers = await pingAll([address], { timeoutMs, ...(netns === undefined ? {} : { netns }) });
  return answers.get(formatAddress(address)) !== undefined;
}

/** Stage 1: how the kernel's connection was answered, or how many of software's SYNs were in the same time. */
async function kernelAgainstSoftware(
  address: Address,
  options: ProbeOptions,
): Promise<{ readonly kernel: string | undefined; readonly software: number; readonly refused: boolean }> {
  using kernel = attempts(address, [PORT], options);
  if (await kernel.answered(Math.min(PATIENCE_MS, options.timeoutMs))) {
    return { kernel: kernel.answer, software: 0, refused: false };
  }
  using software = new SoftwareProbe("syn", address, PORT, options.netns);
  await inTurns(kernel, [software], options.timeoutMs);
  return { kernel: kernel.answer, software: software.answers, refused: software.refused };
}

/** Stage 2: how any TCP was answered, or how many UDP datagrams without a checksum were in the same time. */
async function tcpAgainstUdp(
  address: Address,
  options: ProbeOptions,
): Promise<{ readonly tcp: string | undefined; readonly acks: boolean; readonly udp: number }> {
  using tcp = attempts(address, OTHER_PORTS, options);
  using acks = new SoftwareProbe("ack", address, PORT, options.netns);
  using udp = new SoftwareProbe("udp", address, PORT, options.netns);
  await inTurns(tcp, [acks, udp], options.timeoutMs);
  return { tcp: tcp.answer, acks: acks.answers > 0 || acks.refused, udp: udp.answers };
}

/** Sends software's packets evenly over the time in which the kernel's are not answered. */
async function inTurns(kernel: Attempts, software: readonly SoftwareProbe[], timeoutMs: number): Promise<void> {
  for (let i = 0; i < TIMES; i++) {
    for (const probe of software) probe.send();
    if (await kernel.answered(timeoutMs / TIMES)) return;
    for (const probe of software) probe.read();
  }
}

/** Connections that are under way. */
interface Attempts extends Disposable {
  /** The first answer. */
  readonly answer: string | undefined;
  /** Waits for it, so many ms. */
  answered(ms: number): Promise<boolean>;
}

function attempts(address: Address, ports: readonly number[], { netns }: ProbeOptions): Attempts {
  const to = addressBytes(address);
  const where = { family: address.family, to, ...(netns === undefined ? {} : { netns }) };
  const all = ports.map((port) => new TcpAttempt({ ...where, port }));
  const look = () => all.map((attempt) => attempt.look()).find((answer) => answer !== undefined);
  return {
    get answer() {
      return look();
    },
    async answered(ms) {
      const end = performance.now() + ms;
      while (look() === undefined && performance.now() < end) await sleep(LOOK_EVERY_MS);
      return look() !== undefined;
    },
    [Symbol.dispose]() {
      for (const attempt of all) attempt.close();
    },
  };
}
