/**
 * The kernel's IP sets by the `ipset` program: sets that iptables' rules look addresses up in and put them into.
 *
 * @module
 */
import { run } from "../sys/run.ts";
import { ipsetFailure } from "./errors.ts";
import type { IpsetTransaction } from "./transaction.ts";

export interface Ipset {
  /**
   * Makes the change by one `ipset restore -exist`; nothing for an empty transaction.
   *
   * @throws TsnetError `exists`, `not-found`, `busy`, `kernel-lacks`, `permission`, `program`; `not-found` too where
   * there is no ipset.
   */
  run(transaction: IpsetTransaction): Promise<void>;
  /** The names of all sets, of either family: `ipset list -name`. */
  names(): Promise<readonly string[]>;
}

/** The sets of the namespace that the process is in, unless `prefix` leads elsewhere. */
export function realIpset({ prefix = [] }: { readonly prefix?: readonly string[] } = {}): Ipset {
  const start = (args: readonly string[], stdin?: string) => {
    const [program = "ipset", ...first] = [...prefix, "ipset"];
    return run(program, [...first, ...args], { light: true, ...(stdin === undefined ? {} : { stdin }) });
  };
  return {
    async run(transaction) {
      if (transaction.empty) return;
      const text = transaction.render();
      const { exitCode, stderr } = await start(["restore", "-exist"], text);
      if (exitCode !== 0) throw ipsetFailure(text, stderr);
    },
    async names() {
      const { exitCode, stdout, stderr } = await start(["list", "-name"]);
      if (exitCode !== 0) throw ipsetFailure("", stderr);
      return stdout.split("\n").filter((name) => name !== "");
    },
  };
}
