/**
 * Which iptables to use. Two variants live side by side on one host, each with rules of its own that the other
 * does not show: rules added to the wrong one are valid and easily missed, or dropped by the other's.
 *
 * @module
 */
import { exists, readIfThere, sameFile } from "../sys/files.ts";
import { run } from "../sys/run.ts";
import { type IptablesVariant, realIptables, type SavedTable } from "./iptables.ts";
import { variantOf } from "./programs.ts";

export interface VariantReport {
  /** The one to use; undefined if no iptables is installed. */
  readonly variant: IptablesVariant | undefined;
  /** The variants that hold rules in this namespace, ours or anybody's: with both, packets pass two rule sets. */
  readonly holdRules: readonly IptablesVariant[];
}

export interface VariantOptions {
  /** Put before the programs: `["nsenter", "--net=/run/netns/x"]`. */
  readonly prefix?: readonly string[];
  /** The namespace's `/proc/net`, where `prefix` leads elsewhere: `/proc/PID/net`. */
  readonly proc?: string;
  /** Where to look for programs, `PATH` unless given. */
  readonly path?: string;
}

/**
 * The variant that holds the host's rules; if both or none do, the one that `iptables` is. Undefined if no
 * iptables is installed.
 *
 * Starts no program where `iptables` is a link to iptables-nft and no legacy table was ever opened, as it is on
 * most hosts.
 */
export async function detectVariant(options: VariantOptions = {}): Promise<IptablesVariant | undefined> {
  const preferred = await preferredVariant(options);
  if (preferred === undefined || (preferred === "nft" && !legacyIsLoaded(options))) return preferred;
  return (await surveyVariants(options)).variant;
}

/**
 * What both variants hold, for whoever warns of a mixture. Runs the `iptables-save` of legacy where that may hold rules,
 * and that of nft where a look at the kernel does not tell.
 */
export async function surveyVariants(options: VariantOptions = {}): Promise<VariantReport> {
  const variant = await preferredVariant(options);
  const [nft, legacy] = await Promise.all([
    holdsRules("nft", options),
    // Legacy's own iptables-save would load the tables that it looks for.
    legacyIsLoaded(options) ? holdsRules("legacy", options) : false,
  ]);
  const holdRules: IptablesVariant[] = [...(nft ? ["nft" as const] : []), ...(legacy ? ["legacy" as const] : [])];
  const [only] = holdRules;
  return { variant: variant !== undefined && holdRules.length === 1 ? only : variant, holdRules };
}

/** What `iptables` is, and which variants can be started. Looks at files, and starts a program only where they do not tell. */
export async function findIptables(options: VariantOptions = {}): Promise<{
  readonly preferred: IptablesVariant | undefined;
  readonly installed: readonly IptablesVariant[];
}> {
  const preferred = await preferredVariant(options);
  const installed = (["nft", "legacy"] as const).filter(
    (variant) => variant === preferred || find(`iptables-${variant}`, options) !== undefined,
  );
  return { preferred, installed };
}

/** The tables that iptables-legacy has in this namespace, none where it was never loaded. Asking loads none. */
export function legacyTables(family: 4 | 6, { proc = "/proc/net" }: VariantOptions = {}): readonly string[] {
  const names = readIfThere(`${proc}/${family === 4 ? "ip_tables_names" : "ip6_tables_names"}`) ?? "";
  return names.split("\n").filter((name) => name !== "");
}

/** What `iptables` is, by where its link leads, else by what it says. */
async function preferredVariant(options: VariantOptions): Promise<IptablesVariant | undefined> {
  const program = find("iptables", options);
  if (program === undefined) return undefined;
  for (const variant of ["nft", "legacy"] as const) {
    const named = find(`iptables-${variant}`, options);
    if (named !== undefined && sameFile(program, named)) return variant;
  }
  const { stdout } = await run(program, ["--version"], { light: true });
  return variantOf(stdout);
}

/** Whether legacy has tables in this namespace. */
function legacyIsLoaded(options: VariantOptions): boolean {
  return ([4, 6] as const).some((family) => legacyTables(family, options).length > 0);
}

async function holdsRules(variant: IptablesVariant, options: VariantOptions): Promise<boolean> {
  const { prefix = [] } = options;
  if (variant === "nft" && prefix.length === 0) {
    const answer = await kernelHoldsRules(options);
    if (answer !== undefined) return answer;
  }
  const iptables = realIptables({ variant, prefix });
  // A variant that is not installed, or one family of it, holds nothing that could be used.
  const saves = await Promise.all(([4, 6] as const).map((family) => iptables.save(family).catch(() => new Map())));
  return saves.some((tables: ReadonlyMap<string, SavedTable>) => [...tables.values()].some(isUsed));
}

/** A look at the kernel, which starts no program. Undefined where it does not tell. */
async function kernelHoldsRules(options: VariantOptions): Promise<boolean | undefined> {
  const { nftHoldsRules } = await import("./nftables.ts");
  const families = ([4, 6] as const).filter(
    (family) => find(family === 4 ? "iptables-nft-save" : "ip6tables-nft-save", options) !== undefined,
  );
  try {
    const answers = families.map(nftHoldsRules);
    return answers.includes(true) ? true : answers.includes(undefined) ? undefined : false;
  } catch {
    return undefined;
  }
}

function isUsed({ chains }: SavedTable): boolean {
  return [...chains.values()].some(({ policy, rules }) => rules.length > 0 || policy === "DROP");
}

function find(program: string, { path = process.env.PATH ?? "" }: VariantOptions): string | undefined {
  return path
    .split(":")
    .map((directory) => `${directory}/${program}`)
    .find(exists);
}
