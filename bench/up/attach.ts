/**
 * Network set-up and tear-down alone: ours against netavark, what podman has for it since version 4.
 *
 * Both do the same for a namespace that is there: a veth pair to a bridge, the address, the default route, masquerade
 * and two published ports, by iptables. Each is the one process that a runtime starts for it, told what to do by its
 * standard input: netavark, and our plugins bridge and portmap as parts of `type: tsnet`, the chain in one exec that
 * `tsnet up` goes through as well. Measured from the process's start to its end and, for set-up, until a datagram from
 * beyond the host has been answered through a published port. netavark is told the address, which podman has chosen and
 * noted; ours chooses and notes it itself, so that it does more. The walls around a network are made with it, not with
 * each container, and netavark has none: they are no part of either.
 *
 * A container of each side stays all the while, so that bridges, and what of the rules is there once, are.
 *
 *     bun attach.ts JSON       on the host: prints both series
 *
 * @module
 */
import { type Netns, openNetns } from "../../lib/sys/netns.ts";
import { BEYOND, HOST } from "../../test/e2e/world.ts";
import { answerIn, askFrom } from "../probe.ts";
import { linksIn } from "../state.ts";
import type { Series } from "../table.ts";
import { makeNetns } from "../world.ts";
import { Ground, type Side } from "./ground.ts";
import { describe } from "./netavark.ts";
import { pathOf } from "./peers.ts";
import { answersDatagrams } from "./ready.ts";

export interface AttachTimes {
  readonly setUp: Series;
  readonly tearDown: Series;
}

export interface AttachBench {
  readonly rounds: number;
  /** Our executable. */
  readonly ours: string;
  /** What ours writes its rules by; netavark writes iptables'. */
  readonly backend: "iptables" | "nftables";
}

/** Ms of each round. */
export async function attachments(bench: AttachBench): Promise<AttachTimes> {
  pathOf("netavark");
  await using ground = await Ground.make();
  return JSON.parse(await ground.host.ok([process.execPath, import.meta.path, JSON.stringify(bench)])) as AttachTimes;
}

/** A container of one side, whose servers are there from the start. */
interface Member {
  readonly id: string;
  readonly netns: Netns;
  readonly ports: readonly { readonly host: number; readonly container: number; readonly protocol: "tcp" | "udp" }[];
}

interface Call {
  readonly argv: readonly string[];
  readonly stdin: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Told what it printed. */
  readonly said?: (stdout: string) => void;
}

type Caller = (verb: "set up" | "tear down", member: Member) => Call;

async function measure({ rounds, ours, backend }: AttachBench): Promise<AttachTimes> {
  const callers = { ours: tsnet(ours, backend), peer: netavark() };
  const times: AttachTimes = { setUp: { ours: [], peer: [] }, tearDown: { ours: [], peer: [] } };
  const beyond = openNetns("/run/netns/beyond");
  await answerIn(beyond, "tcp", 80);
  for (const [at, side] of SIDES.entries()) await timed(callers[side]("set up", await makeMember(`${side}-stays`, at)));
  const members = { ours: await makeMember("ours", 2), peer: await makeMember("peer", 3) };
  for (let round = -1; round < rounds; round++) {
    for (const side of round % 2 === 0 ? SIDES : SIDES.toReversed()) {
      const { setUp, tearDown } = await once(callers[side], members[side], beyond);
      if (round < 0) continue;
      times.setUp[side].push(setUp);
      times.tearDown[side].push(tearDown);
    }
  }
  return times;
}

const SIDES = ["ours", "peer"] as const satisfies readonly Side[];

async function once(call: Caller, member: Member, beyond: Netns) {
  const start = performance.now();
  await timed(call("set up", member));
  const [tcp, udp] = member.ports;
  await answersDatagrams(beyond, HOST[4], udp?.host ?? 0);
  const setUp = performance.now() - start;
  // Also by TCP, and out with the host's address.
  await askFrom(beyond, "tcp", HOST[4], tcp?.host ?? 0);
  const seen = await askFrom(member.netns, "tcp", BEYOND[4], 80);
  if (seen !== HOST[4]) throw new Error(`${member.id}: the world beyond sees ${seen}`);
  const tearDown = await timed(call("tear down", member));
  if (linksIn(member.netns).includes("eth0")) throw new Error(`${member.id}: eth0 is still there`);
  return { setUp, tearDown };
}

async function makeMember(id: string, number: number): Promise<Member> {
  const netns = openNetns(await makeNetns(id));
  await answerIn(netns, "tcp", 80);
  await answerIn(netns, "udp", 53);
  const ports = [
    { host: 8000 + number, container: 80, protocol: "tcp" },
    { host: 8000 + number, container: 53, protocol: "udp" },
  ] as const;
  return { id, netns, ports };
}

/** Called as runtimes call a plugin: DEL gets the result of ADD. */
function tsnet(program: string, backend: AttachBench["backend"]): Caller {
  const plugins = `${program.slice(0, program.lastIndexOf("/"))}/cni`;
  const bridge = {
    type: "bridge",
    bridge: "ours0",
    isDefaultGateway: true,
    ipMasq: true,
    ipMasqBackend: backend,
    hairpinMode: true,
    ipam: { type: "host-local", dataDir: "/run/bench-ipam", ranges: [[{ subnet: "10.201.1.0/24" }]] },
  };
  const capabilities = { portMappings: true };
  const parts = [bridge, { type: "portmap", backend, capabilities }];
  const chain = { cniVersion: "1.0.0", name: "ours", type: "tsnet", capabilities, parts };
  const results = new Map<string, unknown>();
  return (verb, { id, netns, ports }) => {
    const portMappings = ports.map(({ host, container, protocol }) => ({
      hostPort: host,
      containerPort: container,
      protocol,
    }));
    const added = verb === "set up" ? {} : { prevResult: results.get(id) };
    return {
      argv: [`${plugins}/tsnet`],
      stdin: JSON.stringify({ ...chain, runtimeConfig: { portMappings }, ...added }),
      env: {
        CNI_COMMAND: verb === "set up" ? "ADD" : "DEL",
        CNI_CONTAINERID: id,
        CNI_NETNS: netns.path,
        CNI_IFNAME: "eth0",
        CNI_PATH: plugins,
      },
      said: (stdout) => void (verb === "set up" && results.set(id, JSON.parse(stdout))),
    };
  };
}

/** As podman does, it hands out one address after the other: neighbours remember who had one a moment ago. */
function netavark(): Caller {
  const program = pathOf("netavark");
  let number = 0;
  return (verb, { id, netns, ports }) => {
    if (verb === "set up") number += 1;
    const { stdin } = describe({ id, number, dns: false, ports });
    return {
      argv: [program, "--config", "/run/bench-netavark", verb === "set up" ? "setup" : "teardown", netns.path],
      stdin,
    };
  };
}

/** Ms from the process's start to its end, which has to be a good one. */
async function timed({ argv, stdin, env = {}, said }: Call): Promise<number> {
  const input = Buffer.from(stdin);
  const start = performance.now();
  const child = Bun.spawn([...argv], {
    stdio: [input, "pipe", "pipe"],
    cwd: "/",
    env: { PATH: process.env.PATH ?? "", ...env },
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const ms = performance.now() - start;
  if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}: ${err}${out}`);
  said?.(out);
  return ms;
}

if (import.meta.main) {
  console.log(JSON.stringify(await measure(JSON.parse(process.argv[2] ?? "") as AttachBench)));
  process.exit(0);
}
