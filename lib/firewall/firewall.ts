/**
 * The host's packet filter: what shall be is planned, what is lies on disk, and each change runs under one lock.
 *
 * The common case is one program run: the names on disk tell which fixed chains are there already, so nothing is
 * listed. When the kernel turns out to hold something else, because somebody flushed our rules or wiped our state,
 * the engine reads it and repairs the difference.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import { attach } from "./attach.ts";
import { chooseEngine } from "./choose.ts";
import { collect, detach } from "./detach.ts";
import { FirewallHost } from "./host.ts";
import { realTools, type Tools } from "./tools.ts";
import type { Attachment, Backend, Firewall, Wishes } from "./types.ts";

/**
 * The firewall of this host. `wanted` comes from the config; unset, it is iptables unless only nft works.
 *
 * Needs no program and no kernel support yet: `detach` and `collect` work with whatever is there. What they need
 * in the common case is loaded when this returns, so that they have started their program when they return their
 * promise, and the caller's synchronous work goes on beside it.
 */
export async function chooseFirewall(wanted?: Backend, tools: Tools = realTools()): Promise<Firewall> {
  const host = new FirewallHost(tools, await chooseEngine(wanted, tools), wanted === undefined);
  await host.engine(host.chosen);
  return {
    backend: host.chosen === "nftables" ? "nftables" : "iptables",
    attach: (attachment, wishes) => attachSomewhere(host, attachment, wishes),
    detach: (attachment, parts, addresses) => detach(host, attachment, parts, addresses),
    check: async (attachment, wishes) => (await import("./check.ts")).check(host, attachment, wishes),
    collect: (network, keep, parts) => collect(host, network, keep, parts),
    ensureUsable: async () => (await import("./check.ts")).ensureUsable(host),
    reload: async () => (await import("./reload.ts")).reload(host),
    missing: async () => (await import("./reload.ts")).missing(host),
  };
}

/** iptables may be installed on a kernel that has no tables for it: unasked for, it then makes way for nft. */
async function attachSomewhere(host: FirewallHost, attachment: Attachment, wishes: Wishes): Promise<void> {
  try {
    await attach(host, attachment, wishes);
  } catch (error) {
    const other = host.mayFallBack && host.chosen !== "nftables" && host.tools.hasNft();
    if (!other || !isTsnetError(error, "kernel-lacks")) throw error;
    await attach(new FirewallHost(host.tools, "nftables", false), attachment, wishes);
  }
}
