/**
 * Starts the programs of one variant: `iptables-nft-restore` and its like, or the plain name where only that is
 * installed and it is of the right variant.
 *
 * @module
 */
import { isTsnetError, TsnetError } from "../errors.ts";
import { type RunResult, run, runLines } from "../sys/run.ts";
import type { IptablesVariant } from "./iptables.ts";

/** `iptables` itself, or what ends in this. */
export type IptablesTool = "" | "-restore" | "-save";

export interface IptablesPrograms {
  /** Runs one to its end. */
  start(family: 4 | 6, tool: IptablesTool, args: readonly string[], how?: StartOptions): Promise<Ended>;
  /** The same, its output line by line. See {@link runLines}. */
  lines(
    family: 4 | 6,
    tool: IptablesTool,
    args: readonly string[],
    onLine: (line: string) => boolean | undefined,
  ): Promise<Ended>;
}

export interface StartOptions {
  readonly stdin?: string;
  readonly inheritFd?: number;
}

/** How it ended, and what it was called. */
export interface Ended extends RunResult {
  readonly program: string;
}

export interface ProgramsOptions {
  readonly variant: IptablesVariant;
  /** Put before the programs: `["nsenter", "--net=/run/netns/x"]`. */
  readonly prefix?: readonly string[];
}

export function iptablesPrograms({ variant, prefix = [] }: ProgramsOptions): IptablesPrograms {
  const named = async (
    family: 4 | 6,
    tool: IptablesTool,
    startOne: (argv: readonly string[]) => Promise<RunResult>,
  ): Promise<Ended> => {
    const name = family === 4 ? "iptables" : "ip6tables";
    const program = `${name}-${variant}${tool}`;
    try {
      return { program, ...(await startOne([...prefix, program])) };
    } catch (error) {
      if (!isTsnetError(error, "not-found")) throw error;
      // Hosts with one variant only may have it under the plain name.
      await ensureVariant(name, variant, prefix);
      return { program: `${name}${tool}`, ...(await startOne([...prefix, `${name}${tool}`])) };
    }
  };
  return {
    start: (family, tool, args, how = {}) =>
      named(family, tool, ([program = "", ...first]) => run(program, [...first, ...args], { ...how, light: true })),
    lines: (family, tool, args, onLine) =>
      named(family, tool, async ([program = "", ...first]) => ({
        ...(await runLines(program, [...first, ...args], onLine)),
        stdout: "",
      })),
  };
}

async function ensureVariant(name: string, variant: IptablesVariant, prefix: readonly string[]): Promise<void> {
  const [program = name, ...args] = [...prefix, name, "--version"];
  const { stdout } = await run(program, args, { light: true });
  if (variantOf(stdout) === variant) return;
  throw new TsnetError(`${name} is not of the ${variant} variant (${stdout.trim()}): install ${name}-${variant}`, {
    code: "not-found",
    op: name,
  });
}

/** The variant that `iptables --version` tells: `iptables v1.8.9 (nf_tables)`; before 1.8 there was legacy alone. */
export function variantOf(version: string): IptablesVariant {
  return version.includes("nf_tables") ? "nft" : "legacy";
}
