/**
 * iptables for rule sets of tens of thousands: text goes in as it stands, listings come out line by line, and nothing
 * is built of them in between. Where a few rules are at stake, {@link Iptables} with its checks is the better door.
 *
 * @module
 */
import { isTsnetError } from "../errors.ts";
import { iptablesFailure } from "./errors.ts";
import type { IptablesVariant } from "./iptables.ts";
import { iptablesPrograms, type ProgramsOptions } from "./programs.ts";
import type { IptablesTable } from "./transaction.ts";

export interface IptablesBulk {
  readonly variant: IptablesVariant;
  /**
   * Makes the change by one `iptables-restore --noflush -w 5`. Each `*table ... COMMIT` is made whole or not at all,
   * one after the other; a table may come several times.
   *
   * @throws TsnetError as {@link Iptables.run} does.
   */
  restore(family: 4 | 6, text: string): Promise<void>;
  /**
   * The rules of one chain, as `iptables -S CHAIN` prints them (`-A CHAIN ...`), undefined if there is no such chain.
   * With iptables-nft this reads that chain alone, with iptables-legacy the kernel hands out the whole table.
   */
  rules(family: 4 | 6, table: IptablesTable, chain: string): Promise<readonly string[] | undefined>;
  /**
   * The lines of `iptables-save`, remarks left out; of one table, if given. `onLine` may return false to hear no more.
   */
  save(family: 4 | 6, table: IptablesTable | undefined, onLine: (line: string) => boolean | undefined): Promise<void>;
}

/** iptables of this machine, in the namespace that this process is in unless `prefix` leads elsewhere. */
export function iptablesBulk(options: ProgramsOptions): IptablesBulk {
  const { start, lines } = iptablesPrograms(options);
  return {
    variant: options.variant,
    async restore(family, text) {
      if (text === "") return;
      const { program, exitCode, stderr } = await start(family, "-restore", ["--noflush", "-w", "5"], { stdin: text });
      if (exitCode !== 0) throw iptablesFailure({ program, text, stderr });
    },
    async rules(family, table, chain) {
      const { program, exitCode, stdout, stderr } = await start(family, "", ["-w", "5", "-t", table, "-S", chain]);
      if (exitCode === 0) return stdout.split("\n").filter((line) => line.startsWith("-A "));
      const error = iptablesFailure({ program, text: "", stderr });
      if (isTsnetError(error, "not-found")) return undefined;
      throw error;
    },
    async save(family, table, onLine) {
      const args = table === undefined ? [] : ["-t", table];
      let unreadable = "";
      const { program, exitCode, stderr } = await lines(family, "-save", args, (line) => {
        if (!line.startsWith("#")) return onLine(line);
        // A remark, and success, is all that iptables-nft-save has for a table that it cannot read.
        if (line.includes("is incompatible")) unreadable = line.slice(2);
        return undefined;
      });
      if (unreadable !== "") throw iptablesFailure({ program, text: "", stderr: unreadable });
      if (exitCode !== 0 && stderr !== "") throw iptablesFailure({ program, text: "", stderr });
    },
  };
}
