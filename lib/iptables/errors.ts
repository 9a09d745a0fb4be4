/**
 * What the iptables programs say when they fail, as codes. Nothing else reads their text.
 *
 * iptables-nft names the line and gives a reason. iptables-legacy says `line 3 failed` and no more: the command on
 * that line, and what is in the tables, tell the rest. The wording is the same from 1.8.9 to 1.8.11.
 *
 * @module
 */
import { type ErrorCode, TsnetError } from "../errors.ts";
import type { SavedTable } from "./iptables.ts";

type Verdict = { readonly code: ErrorCode; readonly reason: string };

/** A program that failed. */
export interface IptablesFailure {
  readonly program: string;
  /** What it was given to read. */
  readonly text: string;
  readonly stderr: string;
  /** The tables as they are, where that helps to tell causes apart. */
  readonly saved?: ReadonlyMap<string, SavedTable>;
}

/** The error for a failed program. */
export function iptablesFailure(failure: IptablesFailure): TsnetError {
  const { program, text, stderr } = failure;
  const said = stderr.replace(/^Try `.*$/gm, "").trim();
  const at = Number(/\bline:? (\d+)/.exec(said)?.[1] ?? 0);
  const place = new Place(text, at);
  const { code, reason } = judge(said, place, failure);
  const where = at === 0 ? "" : ` table ${place.table}: ${shorten(place.line)}:`;
  const done = place.committed.length === 0 ? "" : ` (changed already: ${place.committed.join(", ")})`;
  return new TsnetError(`${program}:${where} ${reason}${done}`, { code, op: program, details: said });
}

/** Where in the transaction it failed. */
class Place {
  readonly line: string;
  readonly table: string = "";
  /** The tables that were committed before. */
  readonly committed: readonly string[];
  /** The chains that were made before, of the same table. */
  readonly made: readonly string[];

  constructor(text: string, at: number) {
    const lines = text.split("\n");
    const committed: string[] = [];
    let made: string[] = [];
    for (const line of lines.slice(0, Math.max(at - 1, 0))) {
      if (line.startsWith("*")) {
        this.table = line.slice(1);
        made = [];
      } else if (line === "COMMIT") committed.push(this.table);
      else if (/^(?::|-N )/.test(line)) made.push(chainOf(line));
    }
    this.line = lines[at - 1] ?? "";
    this.committed = committed;
    this.made = made;
  }
}

function judge(said: string, place: Place, { saved }: IptablesFailure): Verdict {
  if (said.includes("xtables lock")) {
    return { code: "busy", reason: "somebody else holds the xtables lock: try again" };
  }
  if (/Permission denied|Operation not permitted|must be root/.test(said)) {
    return { code: "permission", reason: "not permitted: run as root" };
  }
  // 1.8.9 says it also of a chain that is not there, never of a built-in one, whose names have no hyphen.
  if (/chain `.*-.*' in table `.*' is incompatible/.test(said)) {
    return { code: "not-found", reason: "there is no such chain" };
  }
  if (/[Tt]able `.*' is incompatible/.test(said)) {
    return {
      code: "conflict",
      reason: "the table holds rules that this iptables cannot read, made by nft or a newer iptables: use that one",
    };
  }
  if (said.includes("Chain already exists")) return { code: "exists", reason: "the chain is there already" };
  if (said.includes("does a matching rule exist")) return { code: "not-found", reason: "there is no such rule" };
  if (said.includes("No chain/target/match by that name")) return noChain(place.line);
  if (/Device or resource busy|Directory not empty/.test(said)) return inUse;
  const target = /^.*(?:Chain '(.+)' does not exist|goto '(.+)' is not a chain|Couldn't load target `(.+)')/.exec(said);
  if (target !== null) return { code: "not-found", reason: `there is no chain ${target[1] ?? target[2] ?? target[3]}` };
  if (/unable to initialize table|Table does not exist|table name .* invalid/.test(said)) {
    return { code: "kernel-lacks", reason: "the table cannot be opened: the kernel lacks it, or we are not root" };
  }
  // Somebody flushed between our look and our word. That a rule cannot be added for want of a file is the same where
  // it jumps to a chain (no target of the kernel's has a hyphen), and else a match or target that is not there.
  if (/\b(?:RULE_DELETE|RULE_FLUSH|CHAIN_DEL|CHAIN_FLUSH) failed \(No such file or directory\)/.test(said)) {
    return { code: "not-found", reason: "there is no such rule or chain" };
  }
  const jump = / -[jg] (\S+-\S+)/.exec(place.line)?.[1];
  if (jump !== undefined && /\bRULE_(?:INSERT|APPEND) failed \(No such file or directory\)/.test(said)) {
    return { code: "not-found", reason: `there is no chain ${jump}` };
  }
  if (/\b(?:RULE|CHAIN|TABLE)_\w+ failed/.test(said)) return refused;
  if (/line \d+ failed$/.test(said)) return silent(place, saved);
  return { code: "program", reason: said.replace(/\s+/g, " ") };
}

/** What a bare `line N failed` of iptables-legacy means. */
function silent(place: Place, saved: IptablesFailure["saved"]): Verdict {
  if (place.line === "COMMIT") return refused;
  const chain = chainOf(place.line);
  const isThere = place.made.includes(chain) || saved?.get(place.table)?.chains.has(chain) === true;
  if (!isThere) return noChain(place.line);
  if (place.line.startsWith("-N")) return { code: "exists", reason: "the chain is there already" };
  if (place.line.startsWith("-X")) return inUse;
  if (place.line.startsWith("-D")) return { code: "not-found", reason: "there is no such rule" };
  return { code: "program", reason: "refused without a reason" };
}

const inUse: Verdict = { code: "busy", reason: "the chain holds rules or is jumped to" };

const refused: Verdict = {
  code: "kernel-lacks",
  reason: "the kernel refuses it: it lacks a match or target, or has it not in this table",
};

function noChain(line: string): Verdict {
  // iptables-nft does not tell a missing rule from a missing chain.
  return {
    code: "not-found",
    reason: line.startsWith("-D") ? "there is no such rule" : `there is no chain ${chainOf(line)}`,
  };
}

/** The chain of `-A CHAIN ...` or `:CHAIN - [0:0]`. */
function chainOf(line: string): string {
  return /^(?::|-\w )(\S+)/.exec(line)?.[1] ?? "";
}

function shorten(text: string): string {
  return text.length > 160 ? `${text.slice(0, 160)}...` : text;
}
