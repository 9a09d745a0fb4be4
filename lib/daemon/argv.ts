/**
 * A command line in Go's forms, brought into the one that commander reads the same way: `--name=value`.
 *
 *     -v 2, -v=2, -v2        --v=2
 *     --masquerade-all       --masquerade-all=true     a bool takes no word after it
 *     --cluster_cidr X       --cluster-cidr=X
 *     -iface eth0            --iface=eth0              where one dash does too: Go's flag, not pflag
 *
 * What no flag of ours explains is left as it is, for commander to name.
 *
 * @module
 */
import type { GoFlag } from "./flags.ts";

export interface ArgvOptions {
  /** Whether a name may follow one dash. */
  readonly oneDash?: boolean;
}

/** The arguments with every flag of the table as `--name=value`. */
export function canonicalArguments(
  argv: readonly string[],
  table: Readonly<Record<string, GoFlag>>,
  { oneDash = false }: ArgvOptions = {},
): readonly string[] {
  const canonical: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (word === "--") return [...canonical, ...argv.slice(at)];
    const { name, value } = split(oneDash ? withTwoDashes(word) : word);
    const flag = Object.hasOwn(table, name) ? table[name] : undefined;
    if (flag === undefined) {
      // Without its value, so that what commander suggests is near the name.
      canonical.push(name === "" ? word : `--${name}`);
      continue;
    }
    const bare = flag.kind === "bool" ? "true" : flag.bare;
    if (value !== undefined) canonical.push(`--${name}=${value}`);
    else if (bare !== undefined) canonical.push(`--${name}=${bare}`);
    else if (at + 1 < argv.length) canonical.push(`--${name}=${argv[++at]}`);
    else canonical.push(`--${name}`);
  }
  return canonical;
}

/** `-iface=eth0` is `--iface=eth0`; what has a single letter (`-h`, `-v2`) stays. */
function withTwoDashes(word: string): string {
  return /^-[A-Za-z][\w-]*[A-Za-z]/.test(word) ? `-${word}` : word;
}

/** The flag's name and the value that stands in the same word; the name is empty where the word is no flag. */
function split(word: string): { readonly name: string; readonly value?: string } {
  const short = /^-v(=?)(.*)$/s.exec(word);
  if (short !== null) return short[1] === "" && short[2] === "" ? { name: "v" } : { name: "v", value: short[2] ?? "" };
  const [, name = "", equals, value = ""] = /^--([^=]+)(?:(=)(.*))?$/s.exec(word) ?? [];
  // As pflag has them: underscores stand for dashes.
  const dashed = name.replaceAll("_", "-");
  return equals === undefined ? { name: dashed } : { name: dashed, value };
}
