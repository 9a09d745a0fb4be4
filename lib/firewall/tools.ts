/**
 * What the firewall is built on, as one object that a test can replace.
 *
 * @module
 */
import type { Conntrack } from "../conntrack/conntrack.ts";
import type { Firewalld } from "../firewalld/firewalld.ts";
import type { ForwardRules } from "../iptables/forward.ts";
import type { Iptables, IptablesVariant } from "../iptables/iptables.ts";
import type { IptablesTable } from "../iptables/transaction.ts";
import type { VariantReport } from "../iptables/variant.ts";
import type { Family } from "../net/address.ts";
import type { Nft } from "../nft/nft.ts";
import { readIfThere } from "../sys/files.ts";
import type { AdminChain } from "./admin-chain.ts";
import type { Leaving } from "./iptables-removal.ts";
import type { EngineName } from "./record.ts";
import { STATE_ROOT } from "./state.ts";

/** The doors to the host. Each is opened when it is needed. */
export interface Tools {
  /** Where the state lies. */
  readonly root: string;
  nft(): Promise<Nft>;
  iptables(variant: IptablesVariant): Promise<Iptables>;
  conntrack(): Promise<Conntrack>;
  firewalld(): Promise<Firewalld>;
  /** Whether the program `nft` is there. */
  hasNft(): boolean;
  /** Whether tables of iptables-legacy were ever opened in this namespace. */
  legacyIsLoaded(): boolean;
  /** The iptables to use; undefined if none is installed. */
  detectVariant(): Promise<IptablesVariant | undefined>;
  surveyVariants(): Promise<VariantReport>;
  /** How an administrator's chain stands, as far as that can be told at once. */
  adminChain(engine: EngineName, family: Family, chain: string): Promise<AdminChain>;
  /** The chains of a table of iptables-nft, from the kernel itself; absent where iptables has to be asked. */
  iptablesChains?(family: Family, table: IptablesTable): Promise<readonly string[]>;
  /** What takes rules out of iptables-nft without it; absent where it has to be asked itself. */
  iptablesRemoval?(): Promise<(leaving: readonly Leaving[]) => void>;
  /** The variants whose FORWARD has something to say in these families. */
  forwardRules(families: readonly Family[]): Promise<readonly ForwardRules[]>;
}

/** The tools of this machine, in the namespace that this process is in. */
export function realTools(): Tools {
  return {
    root: STATE_ROOT,
    nft: async () => (await import("../nft/nft.ts")).realNft(),
    iptables: async (variant) => (await import("../iptables/iptables.ts")).realIptables({ variant }),
    conntrack: async () => (await import("../conntrack/conntrack.ts")).realConntrack(),
    firewalld: async () => (await import("../firewalld/firewalld.ts")).realFirewalld(),
    hasNft: () => Bun.which("nft") !== null,
    legacyIsLoaded: () =>
      ["ip_tables_names", "ip6_tables_names"].some((name) => (readIfThere(`/proc/net/${name}`) ?? "") !== ""),
    detectVariant: async () => (await import("../iptables/variant.ts")).detectVariant(),
    surveyVariants: async () => (await import("../iptables/variant.ts")).surveyVariants(),
    adminChain: async (engine, family, chain) => (await import("./admin-chain.ts")).adminChain(engine, family, chain),
    iptablesChains: async (family, table) => (await import("../iptables/nftables.ts")).nftChains(family, table),
    iptablesRemoval: async () => (await import("./iptables-removal.ts")).removeFromKernel,
    forwardRules: async (families) => (await import("../iptables/forward.ts")).forwardRules(families),
  };
}
