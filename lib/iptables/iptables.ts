/**
 * iptables and ip6tables through `iptables-restore` and `iptables-save`.
 *
 * {@link Iptables} is what the rest of the house sees; `iptables.fake.ts` is the double that passes the same cases.
 *
 * @module
 */
import { run } from "../sys/run.ts";
import { iptablesFailure } from "./errors.ts";
import type { IptablesTable, IptablesTransaction } from "./transaction.ts";

/** Which of the two incompatible kernels' interfaces the programs speak. */
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
   * Makes the change by one `iptables-restore --noflush -w 5`; nothing for an empty transaction. Whole or not at
   * all for each table; over several tables it is tried with `--test` first.
   *
   * @throws TsnetError `exists`, `not-found`, `busy` (the xtables lock is held for 5 s; a chain is in use),
   * `kernel-lacks`, `permission`, `program`.
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

/** iptables of this machine. For `variant` see variant.ts. */
export function realIptables(options: RealIptablesOptions): Iptables {
  const start = (program: string, args: readonly string[], more: { stdin?: string; inheritFd?: number } = {}) => {
    const [first = program, ...rest] = [...(options.prefix ?? []), program];
    return run(first, [...rest, ...args], { ...more, light: true });
  };
  const program = (family: 4 | 6, tool: string) =>
    `${family === 4 ? "iptables" : "ip6tables"}-${options.variant}-${tool}`;
  return {
    variant: options.variant,
    async run(family, transaction, runOptions) {
      if (transaction.empty) return;
      const text = transaction.render();
      const restore = program(family, "restore");
      const args = ["--noflush", "-w", "5"];
      if (transaction.tables.length > 1) {
        const tried = await start(restore, ["--test", ...args], { stdin: text, ...runOptions });
        if (tried.exitCode !== 0) throw iptablesFailure(restore, text, tried.stderr);
      }
      const { exitCode, stderr } = await start(restore, args, { stdin: text, ...runOptions });
      if (exitCode !== 0) throw iptablesFailure(restore, text, stderr);
    },
    async save(family, tables) {
      const { parseSave } = await import("./save.ts");
      const saver = program(family, "save");
      const outputs = await Promise.all(
        tables === undefined ? [start(saver, [])] : tables.map((table) => start(saver, ["-t", table])),
      );
      const parsed = new Map<string, SavedTable>();
      for (const { exitCode, stdout, stderr } of outputs) {
        if (exitCode !== 0) throw iptablesFailure(saver, "", stderr);
        for (const [name, table] of parseSave(stdout)) parsed.set(name, table);
      }
      return parsed;
    },
  };
}
