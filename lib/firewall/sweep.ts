/**
 * Looks through the kernel for what no state tells of: rules of ours whose state was wiped, and what the reference
 * plugins left of a container that they attached and we take down.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import { type Address, parseAddress } from "../net/address.ts";
import type { NftTableName } from "../nft/transaction.ts";
import type { FileLock } from "../sys/files.ts";
import type { Drop } from "./engine.ts";
import { forgetContainer } from "./flows.ts";
import type { FirewallHost } from "./host.ts";
import { ENGINES, type EngineName } from "./record.ts";
import { removeReference } from "./reference.ts";
import { closePaths } from "./sysctls.ts";
import type { Attachment, Part } from "./types.ts";

/** What is to go: an attachment's, or a network's but for those in `keep`. */
export type Scope = { readonly parts: readonly Part[]; readonly drop: Drop } & (
  | { readonly attachment: Attachment; readonly addresses: readonly Address[] }
  | { readonly network: string; readonly keep: readonly Attachment[] }
);

/** Removes what is in scope from every engine that holds anything; the state's own entries stay as they are. */
export async function sweep(host: FirewallHost, scope: Scope, lock: FileLock): Promise<void> {
  const tables = await tablesOf(host);
  const known = new Set(host.state.names().map((name) => name.engine));
  const dropped: string[] = [];
  for (const name of ENGINES) {
    const inUse = isInUse(name, host, tables);
    if (known.has(name) || inUse)
      dropped.push(...(await host.repair(await host.engine(name), [], scope.drop, lock)).dropped);
    if (inUse) await removeReference(name, host.tools, tables, scope);
  }
  const isLast =
    !host.state.names().some((name) => name.part === "publish") && !ENGINES.some((name) => host.state.hasOrphans(name));
  if (isLast && scope.parts.includes("publish")) closePaths(host.state, dropped.map(parseAddress));
  await forgetContainer(dropped, [], host.tools.conntrack);
}

/** The tables of nftables, where iptables-nft's are among them; none without nft. */
async function tablesOf(host: FirewallHost): Promise<readonly NftTableName[] | undefined> {
  try {
    return await (await host.tools.nft()).tables();
  } catch (error) {
    if (isTsnetError(error, "not-found", "kernel-lacks")) return undefined;
    throw error;
  }
}

function isInUse(name: EngineName, host: FirewallHost, tables: readonly NftTableName[] | undefined): boolean {
  switch (name) {
    case "nftables":
      return tables !== undefined && tables.length > 0;
    case "iptables-nft":
      // Without nft there is nobody to ask: the tables are looked at if that is what iptables is.
      if (tables === undefined) return host.chosen === name;
      return tables.some(({ family, table }) => (family === "ip" || family === "ip6") && IPTABLES.has(table));
    case "iptables-legacy":
      return host.tools.legacyIsLoaded();
  }
}

const IPTABLES = new Set(["raw", "mangle", "nat", "filter", "security"]);
