/**
 * The kernel's iptables in a throwaway host, and its listing in one normal form.
 *
 * @module
 */
import { type IptablesVariant, realIptables } from "../../../lib/iptables/iptables.ts";
import { Host } from "../../e2e/host.ts";
import type { Subject } from "./cases.ts";

/** One variant's iptables of a fresh host. */
export async function kernelIptables(variant: IptablesVariant): Promise<Subject & { readonly host: Host }> {
  const host = await Host.create();
  return {
    host,
    iptables: realIptables({ variant, prefix: host.enter([]) }),
    dump: async (family) => normaliseSave(await host.ok([`${family === 4 ? "ip" : "ip6"}tables-${variant}-save`])),
    clear: async () => {
      // Without --noflush: what is not in the input goes.
      const empty = "*filter\nCOMMIT\n*nat\nCOMMIT\n";
      for (const name of ["iptables", "ip6tables"]) await host.ok([`${name}-${variant}-restore`], { stdin: empty });
    },
    close: () => host.destroy(),
  };
}

/**
 * An iptables-save without remarks and counters, tables and chains sorted by name, less what is there by itself:
 * built-in chains without rules, and tables of nothing else. Rules keep their order.
 */
export function normaliseSave(save: string): string {
  const tables = save
    .split(/^(?=\*)/m)
    .filter((text) => text.startsWith("*"))
    .sort();
  return tables.map(normaliseTable).join("");
}

function normaliseTable(text: string): string {
  const lines = text.split("\n");
  const rules = lines.filter((line) => line.startsWith("-A "));
  const chainOf = (line: string) => line.split(" ")[1] ?? "";
  const heads = lines
    .filter((line) => line.startsWith(":"))
    .map((line) => line.replace(/ \[\d+:\d+\]$/, ""))
    .filter((head) => !head.endsWith(" ACCEPT") || rules.some((rule) => head.startsWith(`:${chainOf(rule)} `)))
    .sort();
  if (heads.length === 0) return "";
  const sorted = rules.toSorted((a, b) => (chainOf(a) < chainOf(b) ? -1 : chainOf(a) > chainOf(b) ? 1 : 0));
  return `${[lines[0], ...heads, ...sorted, "COMMIT"].join("\n")}\n`;
}
