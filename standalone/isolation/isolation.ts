/**
 * Isolation: containers of different networks, and the world beyond the host, reach only what is published.
 *
 * What shall be follows from the networks alone, so that it is always written whole, by whoever finds that something
 * is missing: `up`, a command that makes a network, and the helper after somebody flushed the rules. Each network's
 * wall is built by the back end that its other rules are in.
 *
 * @module
 */
import { isTsnetError, joinErrors } from "../../lib/errors.ts";
import { chooseEngine } from "../../lib/firewall/choose.ts";
import { ENGINES, type EngineName } from "../../lib/firewall/record.ts";
import { realTools, type Tools } from "../../lib/firewall/tools.ts";
import type { Backend } from "../../lib/firewall/types.ts";
import { nftChains } from "../../lib/iptables/nftables.ts";
import { legacyTables } from "../../lib/iptables/variant.ts";
import type { NetworkRecord } from "../state/records.ts";
import type { Builder } from "./builder.ts";
import { iptablesBuilder, OWN_CHAINS, OWN_TABLES } from "./iptables.ts";
import { nftablesBuilder } from "./nftables.ts";
import { isNothing, wallsOf } from "./walls.ts";

/**
 * Makes the kernel hold the walls of `networks`, all of the host's, and no others; changes nothing where it does.
 * The caller holds the lock of the state, as two at once could leave what the earlier one read.
 *
 * @throws TsnetError `not-found` or `kernel-lacks` if no packet filter works here, `busy` if the xtables lock is held.
 */
export async function isolate(networks: readonly NetworkRecord[], tools: Tools = realTools()): Promise<void> {
  const groups = await groupsOf(networks, tools);
  const errors: unknown[] = [];
  // nftables last: it may have to take over what an iptables without a kernel for it cannot build.
  for (const engine of ENGINES.toReversed()) {
    const mine = groups.get(engine) ?? [];
    try {
      await write(engine, { networks, mine, tools });
    } catch (error) {
      const movable = mine.filter((network) => engine !== "nftables" && backendOf(network) === undefined);
      if (!isTsnetError(error, "kernel-lacks") || movable.length < mine.length || !tools.hasNft()) errors.push(error);
      else groups.set("nftables", [...(groups.get("nftables") ?? []), ...movable]);
    }
  }
  if (errors.length > 0) throw joinErrors("isolate networks", errors);
}

/** What of the walls of `networks`, all of the host's, is not in the kernel as it shall be, or undefined. */
export async function missingIsolation(
  networks: readonly NetworkRecord[],
  tools: Tools = realTools(),
): Promise<string | undefined> {
  for (const [engine, mine] of await groupsOf(networks, tools)) {
    const missing = await (await builderOf(engine, tools)).missing(wallsOf(networks, mine));
    if (missing !== undefined) return missing;
  }
  return undefined;
}

async function write(
  engine: EngineName,
  {
    networks,
    mine,
    tools,
  }: { readonly networks: readonly NetworkRecord[]; readonly mine: readonly NetworkRecord[]; readonly tools: Tools },
): Promise<void> {
  const walls = wallsOf(networks, mine);
  if (!isNothing(walls)) await (await builderOf(engine, tools)).build(walls);
  else if (mayHoldWalls(engine, tools)) await (await builderOf(engine, tools)).remove();
}

/** The networks of each back end. */
async function groupsOf(
  networks: readonly NetworkRecord[],
  tools: Tools,
): Promise<Map<EngineName, readonly NetworkRecord[]>> {
  const groups = new Map<EngineName, readonly NetworkRecord[]>();
  for (const backend of new Set(networks.map(backendOf))) {
    const engine = await chooseEngine(backend, tools);
    const mine = networks.filter((network) => backendOf(network) === backend);
    groups.set(engine, [...(groups.get(engine) ?? []), ...mine]);
  }
  return groups;
}

function backendOf({ options }: NetworkRecord): Backend | undefined {
  const { backend } = options;
  return backend === "iptables" || backend === "nftables" ? backend : undefined;
}

async function builderOf(engine: EngineName, tools: Tools): Promise<Builder> {
  if (engine === "nftables") return nftablesBuilder(await tools.nft());
  if (engine === "iptables-legacy") return iptablesBuilder(await tools.iptables("legacy"));
  const { iptablesChains } = tools;
  return iptablesBuilder(
    await tools.iptables("nft"),
    iptablesChains && ((family) => holdsOurs(family, iptablesChains)),
  );
}

/** Whether it is worth while to start a program that looks for walls to remove. */
function mayHoldWalls(engine: EngineName, tools: Tools): boolean {
  switch (engine) {
    case "nftables":
      return tools.hasNft();
    case "iptables-nft":
      return ([4, 6] as const).some((family) => hasWalls(family));
    case "iptables-legacy":
      return ([4, 6] as const).some((family) => OWN_TABLES.some((table) => legacyTables(family).includes(table)));
  }
}

/** Whether there is any chain of ours where walls are: the administrator's and the guard of published ports, too. */
async function holdsOurs(family: 4 | 6, chainsOf: NonNullable<Tools["iptablesChains"]>): Promise<boolean> {
  const chains = await Promise.all(OWN_TABLES.map((table) => chainsOf(family, table)));
  return chains.flat().some((chain) => chain.startsWith("TSNET-"));
}

function hasWalls(family: 4 | 6): boolean {
  try {
    return OWN_TABLES.some((table) => nftChains(family, table).some((chain) => OWN_CHAINS.includes(chain)));
  } catch {
    // A kernel without nf_tables holds nothing of it.
    return false;
  }
}
