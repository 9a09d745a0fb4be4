/**
 * nftables: run a transaction, read a table back. Through the `nft` program, but for what batch.ts can do without.
 *
 * {@link Nft} is what the rest of the house sees; `nft.fake.ts` is the double that passes the same cases.
 *
 * @module
 */
import type { Netns } from "../sys/netns.ts";
import { run } from "../sys/run.ts";
import { sendBatch } from "./batch.ts";
import { nftFailure } from "./errors.ts";
import type { NftFamily, NftHook, NftTableName } from "./specs.ts";
import type { NftTransaction } from "./transaction.ts";

/** A table as the kernel holds it. */
export interface NftTable {
  readonly family: NftFamily;
  readonly table: string;
  readonly chains: ReadonlyMap<string, NftChain>;
  /** Sets and maps by name. */
  readonly sets: ReadonlyMap<string, NftSet>;
}

export interface NftChain {
  readonly chain: string;
  /** Of base chains only. */
  readonly hook?: NftHook;
  readonly rules: readonly NftRule[];
}

export interface NftRule {
  readonly handle: number;
  readonly comment?: string;
  /** The rule's expressions as `nft -j` shows them: libnftables-json(5). */
  readonly expressions: readonly unknown[];
}

export interface NftSet {
  readonly set: string;
  readonly kind: "set" | "map";
  readonly flags: readonly string[];
  readonly comment?: string;
  readonly elements: readonly NftElement[];
}

export interface NftElement {
  /** As a transaction writes it: `10.1.0.2 . tcp . 80`. */
  readonly key: string;
  /** Of maps only: `10.1.0.2 . 80`, `goto web`. */
  readonly value?: string;
  readonly comment?: string;
}

/** A chain with a hook, whoever owns it. */
export interface NftBaseChain extends NftTableName {
  readonly chain: string;
  readonly hook: NftHook;
}

export interface NftRunOptions {
  /** A descriptor that the program keeps open, such as the lock that its change is made under. */
  readonly inheritFd?: number;
}

export interface Nft {
  /**
   * Makes the change, whole or not at all; nothing for an empty transaction.
   *
   * @throws TsnetError `exists`, `not-found`, `conflict` (a map's key has another value, intervals overlap), `busy`
   * (in use), `kernel-lacks`, `permission`, `program` (anything else, such as a rule that nft cannot read).
   */
  run(transaction: NftTransaction, options?: NftRunOptions): Promise<void>;
  /** A table with all that is in it, or undefined if it is not there. */
  list(family: NftFamily, table: string): Promise<NftTable | undefined>;
  /** The tables of the namespace. */
  tables(): Promise<readonly NftTableName[]>;
  /** The base chains of all tables, without their rules. */
  baseChains(): Promise<readonly NftBaseChain[]>;
}

export interface RealNftOptions {
  /** The namespace to work in, if not the one that the process is in. */
  readonly netns?: Netns;
  /** Put before `nft`, by which all goes then: `["nsenter", "--net=/run/netns/x"]`. */
  readonly prefix?: readonly string[];
}

/** The kernel's nftables. */
export function realNft({ netns, prefix }: RealNftOptions = {}): Nft {
  const command = [...(prefix ?? (netns === undefined ? [] : ["nsenter", `--net=${netns.path}`])), "nft"];
  return {
    async run(transaction, runOptions) {
      if (transaction.empty) return;
      const { plain } = transaction;
      if (plain !== undefined && prefix === undefined && sendBatch(plain, netns)) return;
      const text = transaction.render();
      const { exitCode, stderr } = await start(command, ["-f", "-"], { stdin: text, ...runOptions });
      if (exitCode !== 0) throw nftFailure(text, stderr);
    },
    async list(family, table) {
      if (prefix === undefined && (await import("./basechains.ts")).isAbsent({ family, table }, netns))
        return undefined;
      const { exitCode, stdout, stderr } = await start(command, ["-j", "list", "table", family, table]);
      if (exitCode !== 0) {
        const error = nftFailure(`list table ${family} ${table}\n`, stderr);
        if (error.code === "not-found") return undefined;
        throw error;
      }
      const { parseTable } = await import("./listing.ts");
      return parseTable(stdout);
    },
    async tables() {
      const { parseTables } = await import("./listing.ts");
      return parseTables(await read(command, "tables"));
    },
    async baseChains() {
      if (prefix === undefined) {
        const { baseChainsOf } = await import("./basechains.ts");
        const chains = baseChainsOf(netns);
        if (chains !== undefined) return chains;
      }
      const { parseBaseChains } = await import("./listing.ts");
      return parseBaseChains(await read(command, "chains"));
    },
  };
}

async function read(command: readonly string[], what: "tables" | "chains"): Promise<string> {
  const { exitCode, stdout, stderr } = await start(command, ["-j", "list", what]);
  if (exitCode !== 0) throw nftFailure(`list ${what}\n`, stderr);
  return stdout;
}

function start(
  command: readonly string[],
  args: readonly string[],
  options: { stdin?: string; inheritFd?: number } = {},
) {
  const [program = "nft", ...first] = command;
  return run(program, [...first, ...args], { ...options, light: true });
}
