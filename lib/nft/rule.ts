/**
 * Rules as they are written straight to the kernel, without `nft`, which would read every table of the host first,
 * whoever owns it and however new the nft is that made it.
 *
 * The bytes are those that nft 1.0.6 makes of the text, so that nft lists a rule as the text that it stands for:
 * matches.ts has what a rule asks, actions.ts what it does.
 *
 * @module
 */
import type { NfWriter } from "../sys/nfwriter.ts";
import type { NftExpression } from "./expressions.ts";

/** A part of a rule. */
export interface NftStatement {
  /** As nft writes it; empty: nothing. */
  readonly text: string;
  write(writer: NfWriter): void;
}

/** A rule: matches first, then what happens. */
export interface BuiltRule {
  readonly statements: readonly NftStatement[];
  readonly comment?: string;
}

/** The rule as nft writes it, without its comment. */
export function ruleText({ statements }: BuiltRule): string {
  return statements.flatMap(({ text }) => (text === "" ? [] : [text])).join(" ");
}

/** The fields of a key as nft writes them. */
export function keyText(key: readonly NftExpression[]): string {
  return key.map(({ text }) => text).join(" . ");
}

/** A packet's mark, or a bit of it, as nft writes it. */
export function markText(bit: number): string {
  return `0x${(bit >>> 0).toString(16).padStart(8, "0")}`;
}
