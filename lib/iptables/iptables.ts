/**
 * iptables and ip6tables through `iptables-restore` and `iptables-save`.
 *
 * {@link Iptables} is what the rest of the house sees; `iptables.fake.ts` is the double that passes the same cases.
 *
 * @module
 */
import { iptablesFailure } from "./errors.ts";
import { iptablesPrograms } from "./programs.ts";
import type { IptablesTable, IptablesTransaction } from "./transaction.ts";

/** Which of the kernel's two packet filters the programs speak to. */
export type IptablesVariant = "nft" | "legacy";

/** A table as iptables-save shows it. */
export interface SavedTable {
  readonly table: string;
  readonly chains: ReadonlyMap<string, SavedChain>;
}

export interface SavedChain {
  readonly chain: string;
  /** Of built-in chains only. */
  readonly policy?: string;
  readonly rules: readonly SavedRule[];
}

export interface SavedRule {
  /** What follows the chain's name, as iptables-save prints it: `delete` takes it back unchanged. */
  readonly text: string;
  /** The same in words, quotes and escapes undone. */
  readonly words: readonly string[];
  readonly comment?: string;
}

export interface IptablesRunOptions {
  /** A descriptor that the program keeps open, such as the lock that its change is made under. */
  readonly inheritFd?: number;
}

export interface Iptables {
  readonly variant: IptablesVariant;
  /**
   * Makes the change by one `iptables-restore --noflush -w 5`; nothing for an empty transaction. Each table is
   * changed whole or not at all, in the order of their first commands: where a later table fails, the error says
   * which ones were changed before.
   *
   * @throws TsnetError `exists`, `not-found`, `busy` (the xtables lock was held for 5 s; a chain is in use),
   * `kernel-lacks`, `permission`, `program` (anything else, such as a rule that iptables cannot read).
   */
  run(family: 4 | 6, transaction: IptablesTransaction, options?: IptablesRunOptions): Promise<void>;
  /** The tables that are there, by name; of `tables` only, if given. */
  save(family: 4 | 6, tables?: readonly IptablesTable[]): Promise<ReadonlyMap<string, SavedTable>>;
}

export interface RealIptablesOptions {
  readonly variant: IptablesVariant;
  /** Put before the programs: `["nsenter", "--net=/run/netns/x"]`. */
  readonly prefix?: readonly string[];
}

/** Those that have a chain in the kernel: a look there spares a program for each that has none. */
async function used(family: 4 | 6, tables: readonly IptablesTable[]): Promise<readonly IptablesTable[]> {
  const { nftChains } = await import("./nftables.ts");
  try {
    return tables.filter((table) => nftChains(family, table).length > 0);
  } catch {
    // The program says why it cannot be.
    return tables;
  }
}

/**
 * iptables of this machine, in the namespace that this process is in unless `prefix` leads elsewhere. For
 * `variant` see variant.ts.
 */
export function realIptables({ variant, prefix = [] }: RealIptablesOptions): Iptables {
  const { start } = iptablesPrograms({ variant, prefix });
  const save: Iptables["save"] = async (family, tables) => {
    const wanted =
      tables !== undefined && variant === "nft" && prefix.length === 0 ? await used(family, tables) : tables;
    const calls = wanted === undefined ? [[]] : wanted.map((table) => ["-t", table]);
    const [{ parseSave }, ...outputs] = await Promise.all([
      import("./save.ts"),
      ...calls.map((args) => start(family, "-save", args)),
    ]);
    const saved = new Map<string, SavedTable>();
    for (const { program, exitCode, stdout, stderr } of outputs) {
      if (exitCode !== 0) throw iptablesFailure({ program, text: "", stderr });
      for (const [name, table] of parseSave(stdout)) saved.set(name, table);
    }
    return saved;
  };
  return {
    variant,
    save,
    async run(family, transaction, options) {
      if (transaction.empty) return;
      const text = transaction.render();
      const how = { stdin: text, ...options };
      const { program, exitCode, stderr } = await start(family, "-restore", ["--noflush", "-w", "5"], how);
      if (exitCode === 0) return;
      // Legacy does not say why it fails: what is there tells.
      const saved = variant === "legacy" ? await save(family, transaction.tables).catch(() => undefined) : undefined;
      throw iptablesFailure({ program, text, stderr, ...(saved === undefined ? {} : { saved }) });
    },
  };
}
