/**
 * Whether a container that was just added is really on its network, and one that was removed is off it.
 *
 * @module
 */
import type { Netns } from "../lib/sys/netns.ts";
import type { CniJson, Container, Side } from "./call.ts";
import { answerIn, askFrom } from "./probe.ts";
import { PORTS, type Scenario } from "./scenario.ts";
import { linksIn, readRules, storeHolds, sysctlsHold } from "./state.ts";
import { BEYOND, HOST, type World } from "./world.ts";

/** A container of a side, with its namespace open. */
export interface Member {
  readonly side: Side;
  readonly container: Container;
  readonly netns: Netns;
}

const ECHO_PORT = 7;

/** Opens what is asked at the host and beyond it. */
export async function openEcho(world: World): Promise<void> {
  for (const netns of [world.host, world.beyond]) await answerIn(netns, "udp", ECHO_PORT);
}

/** Opens in a container what {@link PORTS} lead to. */
export async function openPorts(member: Member): Promise<void> {
  for (const { protocol, containerPort } of PORTS) await answerIn(member.netns, protocol, containerPort);
}

/** @throws Error if a packet does not pass at once, or rules, store or sysctls are not as they have to be. */
export async function mustBeUp(scenario: Scenario, member: Member, now: { world: World; result: CniJson }) {
  const { side, container, netns } = member;
  const address = addressOf(now.result);
  await packetsPass(scenario, member, now.world, address);
  storeHolds(side, container, address);
  sysctlsHold(side, netns, scenario.published === true);
  await rulesName(scenario, address);
  await scenario.more?.(member, now.result);
}

/** @throws Error if the container still has its interface. */
export function mustBeDown({ side, netns }: Member): void {
  const links = linksIn(netns).filter((name) => name !== "lo");
  if (links.length > 0) throw new Error(`${side.name}: after DEL the container has ${links.join(", ")}`);
}

/** The address that a result gives, without its prefix. */
export function addressOf(result: CniJson): string {
  const text = JSON.stringify(result).match(/"address":"([\d.]+)\//)?.[1];
  if (text === undefined) throw new Error(`no address in ${JSON.stringify(result)}`);
  return text;
}

async function packetsPass(scenario: Scenario, member: Member, world: World, address: string): Promise<void> {
  const { side, netns } = member;
  const seen = async (who: string, wanted: string, answer: Promise<string>) => {
    const found = await answer;
    if (found !== wanted) throw new Error(`${side.name}: ${who} sees ${found} instead of ${wanted}`);
  };
  await seen("the gateway", address, askFrom(netns, "udp", `${side.prefix}.1`, ECHO_PORT));
  if (scenario.masquerade !== undefined) await seen("beyond", HOST, askFrom(netns, "udp", BEYOND, ECHO_PORT));
  if (scenario.published !== true) return;
  for (const { protocol, hostPort } of PORTS) {
    await seen("the published port", BEYOND, askFrom(world.beyond, protocol, HOST, hostPort));
  }
}

/** Each back end in its own tables: iptables-nft's rules are in nft's listing as well. */
async function rulesName({ masquerade, forwards = false }: Scenario, address: string): Promise<void> {
  const rules = await readRules();
  const named = (text: string) => new RegExp(`\\b${address.replaceAll(".", "\\.")}\\b`).test(text);
  if (!forwards && named(rules.iptables) !== (masquerade === "iptables")) {
    throw new Error(`iptables should ${masquerade === "iptables" ? "" : "not "}name ${address}:\n${rules.iptables}`);
  }
  if (masquerade === "nftables" && !named(rules.nftables))
    throw new Error(`nft does not name ${address}:\n${rules.nftables}`);
}
