/**
 * A change to iptables or ip6tables as a list of its own commands, rendered to one input of
 * `iptables-restore --noflush`.
 *
 * The program commits table by table, so the commands of one table are atomic, those of several are not: what
 * protects goes first (filter, raw), what opens goes last (nat). There is no rehearsal, as iptables-nft's `--test`
 * finds no missing chain or rule.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";

export type IptablesTable = "raw" | "mangle" | "nat" | "filter" | "security";

/** Bytes that a comment may have, in UTF-8 (XT_MAX_COMMENT_LEN, linux/netfilter/xt_comment.h, less the closing zero). */
export const IPTABLES_COMMENT_BYTES = 255;

/** Commands of one family, iptables' or ip6tables'. */
export class IptablesTransaction {
  readonly #tables = new Map<IptablesTable, string[]>();

  /** Whether no command was queued. */
  get empty(): boolean {
    return this.#tables.size === 0;
  }

  /** The tables that it touches, in the order of their first command, which is the order of commitment. */
  get tables(): readonly IptablesTable[] {
    return [...this.#tables.keys()];
  }

  /** `-N`. Fails with `exists`. */
  newChain(table: IptablesTable, chain: string): this {
    return this.#push(table, `-N ${name(chain)}`);
  }

  /** `:CHAIN - [0:0]`: makes the chain, or empties it where it is there. Not for built-in chains. */
  resetChain(table: IptablesTable, chain: string): this {
    return this.#push(table, `:${name(chain)} - [0:0]`);
  }

  /** `-F`. Fails with `not-found`. */
  flushChain(table: IptablesTable, chain: string): this {
    return this.#push(table, `-F ${name(chain)}`);
  }

  /** `-X`: the chain must be empty and jumped to by nobody. Fails with `not-found` or `busy`. */
  deleteChain(table: IptablesTable, chain: string): this {
    return this.#push(table, `-X ${name(chain)}`);
  }

  /** `-A`: behind the rules that are there. `rule` is what follows the chain: `-s 10.1.0.2/32 -j MASQUERADE`. */
  append(table: IptablesTable, chain: string, rule: string, comment?: string): this {
    return this.#push(table, `-A ${name(chain)} ${withComment(rule, comment)}`);
  }

  /** `-I`: before the rules that are there. */
  insert(table: IptablesTable, chain: string, rule: string, comment?: string): this {
    return this.#push(table, `-I ${name(chain)} ${withComment(rule, comment)}`);
  }

  /** `-D`: the first rule that equals `rule` and `comment`. Fails with `not-found`. */
  delete(table: IptablesTable, chain: string, rule: string, comment?: string): this {
    return this.#push(table, `-D ${name(chain)} ${withComment(rule, comment)}`);
  }

  /** The text for `iptables-restore --noflush`. */
  render(): string {
    let text = "";
    for (const [table, lines] of this.#tables) text += `*${table}\n${lines.join("\n")}\nCOMMIT\n`;
    return text;
  }

  #push(table: IptablesTable, line: string): this {
    if (/[\n\r\0]/.test(line)) throw invalid(`an iptables command must be one line: ${JSON.stringify(line)}`);
    const lines = this.#tables.get(table);
    if (lines === undefined) this.#tables.set(table, [line]);
    else lines.push(line);
    return this;
  }
}

/**
 * A comment that iptables accepts: control characters become spaces, what is beyond
 * {@link IPTABLES_COMMENT_BYTES} is cut at a character's border. Cut, not refused: a comment is a label for people,
 * and a long name must not keep a container off its network. Who matches by comment puts what is unique in front.
 */
export function iptablesComment(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  const clean = text.replace(/[\u0000-\u001f\u007f]/g, " ");
  if (clean.length * 3 <= IPTABLES_COMMENT_BYTES) return clean;
  const bytes = Buffer.from(clean);
  if (bytes.length <= IPTABLES_COMMENT_BYTES) return clean;
  let end = IPTABLES_COMMENT_BYTES;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}

/** The comment goes first, as iptables-save prints most rules: right behind the addresses and interfaces. */
function withComment(rule: string, comment: string | undefined): string {
  if (comment === undefined) return rule;
  return `-m comment --comment "${iptablesComment(comment).replace(/["\\]/g, "\\$&")}" ${rule}`;
}

function name(chain: string): string {
  // 28 characters: XT_EXTENSION_MAXNAMELEN less what the kernel needs.
  if (!/^[A-Za-z0-9_][\w.-]{0,27}$/.test(chain)) {
    throw invalid(`not a chain name that iptables accepts: ${JSON.stringify(chain)}`);
  }
  return chain;
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "iptables" });
}
