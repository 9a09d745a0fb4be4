/**
 * How services are programmed on this host: the mode and the address families that work.
 *
 * @module
 */
import { messageOf, TsnetError } from "../../lib/errors.ts";
import { detectVariant } from "../../lib/iptables/variant.ts";
import { exists, readSysctl } from "../../lib/sys/files.ts";
import { run } from "../../lib/sys/run.ts";
import type { ProxyMode } from "../backend.ts";

/** What works here. */
export interface Ability {
  readonly mode: ProxyMode;
  /** At least one. */
  readonly families: readonly (4 | 6)[];
  /** What does not work and why, a line each. */
  readonly lacks: readonly string[];
}

/** Looks at the host. Each tells why something does not work, or undefined if it does. */
export interface Probe {
  iptables(family: 4 | 6): Promise<string | undefined>;
  nft(): Promise<string | undefined>;
  ipv6(): string | undefined;
}

/**
 * The mode that is `wanted`; if none is, iptables where it works, else nftables.
 *
 * @throws TsnetError `kernel-lacks` if the mode does not work, with what is missing.
 */
export async function chooseMode(wanted: ProxyMode | undefined, probe: Probe = hostProbe): Promise<Ability> {
  const noIPv6 = probe.ipv6();
  const tried: string[] = [];
  for (const mode of wanted === undefined ? (["iptables", "nftables"] as const) : [wanted]) {
    const ability = await tryMode(mode, noIPv6, probe);
    if (ability.families.length > 0) return { ...ability, lacks: [...tried, ...ability.lacks] };
    tried.push(...ability.lacks);
  }
  const way =
    wanted === "nftables"
      ? "install nft"
      : wanted === "iptables"
        ? "install iptables, or take nftables"
        : "install nft or iptables";
  throw new TsnetError(`cannot program services: ${tried.join("; ")}: ${way}`, {
    code: "kernel-lacks",
    op: "choose mode",
  });
}

async function tryMode(mode: ProxyMode, noIPv6: string | undefined, probe: Probe): Promise<Ability> {
  const reasons = await Promise.all(
    ([4, 6] as const).map(async (family) => {
      if (family === 6 && noIPv6 !== undefined) return { family, reason: noIPv6 };
      return { family, reason: await (mode === "iptables" ? probe.iptables(family) : probe.nft()) };
    }),
  );
  return {
    mode,
    families: reasons.flatMap(({ family, reason }) => (reason === undefined ? [family] : [])),
    lacks: [...new Set(reasons.flatMap(({ reason }) => reason ?? []))],
  };
}

/** This host, in the namespace that the process is in. */
export const hostProbe: Probe = {
  async iptables(family) {
    const program = family === 4 ? "iptables" : "ip6tables";
    const variant = await detectVariant();
    if (variant === undefined) return `${program} is not installed`;
    // The nat table of the kernel, and a lock that somebody may hold for a moment; it lists one chain and makes none.
    const args = ["-w", "5", "-t", "nat", "-S", "POSTROUTING"];
    return (await complaint(`${program}-${variant}`, args)) && (await complaint(program, args));
  },
  nft: () => complaint("nft", ["-c", "-f", "-"], "add table ip tsnet-proxy\n"),
  ipv6() {
    if (!exists("/proc/net/if_inet6")) return "the kernel has no IPv6";
    return readSysctl("net/ipv6/conf/all/disable_ipv6") === "1" ? "IPv6 is disabled" : undefined;
  },
};

/** What a program says when it fails, or undefined. */
async function complaint(program: string, args: readonly string[], stdin?: string): Promise<string | undefined> {
  try {
    const { exitCode, stderr } = await run(program, args, { light: true, ...(stdin === undefined ? {} : { stdin }) });
    return exitCode === 0 ? undefined : `${program} does not work: ${stderr.trim().split("\n")[0] ?? ""}`;
  } catch (error) {
    return messageOf(error);
  }
}
