/**
 * How services are programmed on this host: the mode and the address families that work.
 *
 * @module
 */
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { exists, readSysctl } from "../../lib/sys/files.ts";
import { type RunResult, run } from "../../lib/sys/run.ts";
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
 * @throws TsnetError `kernel-lacks` if the mode does not work, with what is missing; `conflict` where both variants of
 * iptables are in use.
 */
export async function chooseMode(wanted: ProxyMode | undefined, probe: Probe = hostProbe): Promise<Ability> {
  const noIPv6 = probe.ipv6();
  const tried: string[] = [];
  for (const mode of wanted === undefined ? (["iptables", "nftables"] as const) : [wanted]) {
    const ability = await tryMode(mode, noIPv6, probe);
    if (ability.families.length > 0) return { ...ability, lacks: [...tried, ...ability.lacks] };
    tried.push(...ability.lacks);
  }
  throw new TsnetError(`cannot program services: ${tried.join("; ")}`, { code: "kernel-lacks", op: "choose mode" });
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
    try {
      const { chooseIptables } = await import("../iptables/variant.ts");
      const { iptablesPrograms } = await import("../../lib/iptables/programs.ts");
      const { start } = iptablesPrograms({ variant: await chooseIptables() });
      // Asks the kernel for its nat table, and makes nothing.
      return complaint(await start(family, "", ["-w", "5", "-t", "nat", "-S", "POSTROUTING"]));
    } catch (error) {
      // Two variants in use are no reason to go on with nftables beside both.
      if (isTsnetError(error, "not-found")) return messageOf(error);
      throw error;
    }
  },
  async nft() {
    try {
      const stdin = "add table ip tsnet-proxy\n";
      return complaint({ program: "nft", ...(await run("nft", ["--check", "-f", "-"], { stdin, light: true })) });
    } catch (error) {
      return messageOf(error);
    }
  },
  ipv6() {
    if (!exists("/proc/net/if_inet6")) return "the kernel has no IPv6";
    return readSysctl("net/ipv6/conf/all/disable_ipv6") === "1" ? "IPv6 is disabled" : undefined;
  },
};

/** What a program said if it failed. */
function complaint({ program, exitCode, stderr }: RunResult & { readonly program: string }): string | undefined {
  return exitCode === 0 ? undefined : `${program} does not work: ${stderr.trim().split("\n")[0] ?? ""}`;
}
