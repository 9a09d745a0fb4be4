/**
 * A packet-filter change as a list of nft's own verbs.
 *
 * Verbs queue up and touch nothing; {@link Nft.run} sends them as one `nft -f -`, which the kernel takes whole or
 * not at all. Each verb is one line of text, so that an error's line number leads back to its verb.
 *
 * Sets and maps are declared by `typeof`: a set declared by `type` in a newer nft crashes `nft list` of 1.0.6.
 * There is no `destroy`, which 1.0.6 lacks: `addTable` then `deleteTable` removes a table that may be absent.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";

export type NftFamily = "ip" | "ip6" | "inet" | "arp" | "bridge" | "netdev";

/** Where a base chain is hooked into the stack. */
export interface NftHook {
  readonly type: "filter" | "nat" | "route";
  readonly hook: "prerouting" | "input" | "forward" | "output" | "postrouting" | "ingress" | "egress";
  /** As a number: -100 is `dstnat`, 100 is `srcnat` (outside the bridge family). */
  readonly priority: number;
  /** Without it the kernel's `accept`. */
  readonly policy?: "accept" | "drop";
}

export interface NftTableName {
  readonly family: NftFamily;
  readonly table: string;
}

export interface NftChainName extends NftTableName {
  readonly chain: string;
}

export interface NftSetName extends NftTableName {
  /** The name of a set; where elements go, of a set or a map. */
  readonly set: string;
}

export interface NftRuleSpec extends NftChainName {
  /** The rule as nft writes it, without its comment: `ip saddr 10.1.0.0/24 masquerade`. */
  readonly rule: string;
  readonly comment?: string;
}

export interface NftSetSpec extends NftSetName {
  /** The expressions whose type an element has: `ip saddr . tcp dport`. */
  readonly typeof: string;
  readonly flags?: readonly NftSetFlag[];
  readonly comment?: string;
}

export interface NftMapName extends NftTableName {
  readonly map: string;
}

export interface NftMapSpec extends NftMapName {
  /** The expressions whose type a key has: `meta l4proto . th dport`. */
  readonly key: string;
  /** The expressions whose type a value has, or `verdict`. */
  readonly value: string;
  readonly flags?: readonly NftSetFlag[];
  readonly comment?: string;
}

export type NftSetFlag = "interval" | "timeout" | "dynamic" | "constant";

export interface NftElementKey extends NftSetName {
  /** As nft writes it: `10.1.0.2 . tcp . 80`, `10.1.0.0/24`. */
  readonly key: string;
  /** How the set was declared. Elements alone, all with a type, go to the kernel without starting nft: elements.ts. */
  readonly type?: NftElementType;
}

/** What {@link NftSetSpec} or {@link NftMapSpec} said of a set's elements. */
export interface NftElementType {
  /** `typeof` of a set, `key` of a map. */
  readonly key: string;
  /** Of a map. */
  readonly value?: string;
  readonly flags?: readonly NftSetFlag[];
}

export interface NftElementSpec extends NftElementKey {
  /** For a map: `10.1.0.2 . 80`, `goto web`. */
  readonly value?: string;
  /** Made safe by {@link nftComment}. */
  readonly comment?: string;
}

/**
 * Bytes that a comment may have, in UTF-8: nft refuses longer ones (NFTNL_UDATA_COMMENT_MAXLEN is 128, of which
 * an element's comment also needs the closing zero).
 */
export const NFT_COMMENT_BYTES = 127;

/** A verb about an element whose type is known. */
export interface TypedElement extends NftElementSpec {
  readonly verb: "add" | "create" | "delete";
  readonly type: NftElementType;
  /** The verb as it is rendered. */
  readonly line: string;
}

/** Verbs for one atomic change. */
export class NftTransaction {
  readonly #lines: string[] = [];
  readonly #elements: TypedElement[] = [];

  /** Whether no verb was queued. */
  get empty(): boolean {
    return this.#lines.length === 0;
  }

  /** All verbs, if they are about elements whose type is known. */
  get elements(): readonly TypedElement[] | undefined {
    return this.#elements.length === this.#lines.length ? this.#elements : undefined;
  }

  /** `add table`: fine if it is there. */
  addTable(family: NftFamily, table: string): this {
    return this.#push(`add table ${family} ${name(table)}`);
  }

  /** `delete table` with all that is in it. Fails with `not-found`. */
  deleteTable(family: NftFamily, table: string): this {
    return this.#push(`delete table ${family} ${name(table)}`);
  }

  /** `add chain`: fine if it is there with the same hook. */
  addChain(spec: NftChainName & { readonly hook?: NftHook }): this {
    return this.#push(`add chain ${chainPath(spec)}${spec.hook === undefined ? "" : hookText(spec.hook)}`);
  }

  /** `create chain`: fails with `exists` if the name is there. */
  createChain(spec: NftChainName & { readonly hook?: NftHook }): this {
    return this.#push(`create chain ${chainPath(spec)}${spec.hook === undefined ? "" : hookText(spec.hook)}`);
  }

  /** `flush chain`: removes its rules. Fails with `not-found`. */
  flushChain(spec: NftChainName): this {
    return this.#push(`flush chain ${chainPath(spec)}`);
  }

  /** `delete chain`, which must be empty and jumped to by nobody. Fails with `not-found` or `busy`. */
  deleteChain(spec: NftChainName): this {
    return this.#push(`delete chain ${chainPath(spec)}`);
  }

  /** `add rule`: behind the rules that are there. Not idempotent: twice makes two. */
  addRule(spec: NftRuleSpec): this {
    return this.#push(`add rule ${chainPath(spec)} ${spec.rule}${commentText(spec.comment)}`);
  }

  /** `insert rule`: before the rules that are there. */
  insertRule(spec: NftRuleSpec): this {
    return this.#push(`insert rule ${chainPath(spec)} ${spec.rule}${commentText(spec.comment)}`);
  }

  /** `delete rule ... handle N`, the handle as {@link Nft.list} tells it. Fails with `not-found`. */
  deleteRule(spec: NftChainName & { readonly handle: number }): this {
    return this.#push(`delete rule ${chainPath(spec)} handle ${spec.handle}`);
  }

  /** `add set`: fine if it is there with the same type. */
  addSet(spec: NftSetSpec): this {
    return this.#push(`add set ${setPath(spec)} { typeof ${spec.typeof};${attributes(spec)} }`);
  }

  /** `add map`: fine if it is there with the same types. */
  addMap(spec: NftMapSpec): this {
    return this.#push(`add map ${mapPath(spec)} { typeof ${spec.key} : ${spec.value};${attributes(spec)} }`);
  }

  /**
   * `add element`: fine if the same is there, whose comment then stays as it was. A map's key with another value
   * fails with `conflict`.
   */
  addElement(spec: NftElementSpec): this {
    return this.#pushElement("add", spec);
  }

  /** `create element`: fails with `exists` if the key is there, whatever its value. */
  createElement(spec: NftElementSpec): this {
    return this.#pushElement("create", spec);
  }

  /** `delete element`. Fails with `not-found`. */
  deleteElement(spec: NftElementKey): this {
    const { family, table, set, key, type } = spec;
    return this.#pushElement("delete", { family, table, set, key, ...(type === undefined ? {} : { type }) });
  }

  /** `flush set`: removes all elements. Fails with `not-found`, also for a map: see {@link flushMap}. */
  flushSet(spec: NftSetName): this {
    return this.#push(`flush set ${setPath(spec)}`);
  }

  /** `flush map`: removes all elements. Fails with `not-found`. */
  flushMap(spec: NftMapName): this {
    return this.#push(`flush map ${mapPath(spec)}`);
  }

  /** `delete set`, which no rule may use. Fails with `not-found` or `busy`. */
  deleteSet(spec: NftSetName): this {
    return this.#push(`delete set ${setPath(spec)}`);
  }

  /** `delete map`, which no rule may use. Fails with `not-found` or `busy`. */
  deleteMap(spec: NftMapName): this {
    return this.#push(`delete map ${mapPath(spec)}`);
  }

  /** The text for `nft -f -`, one verb a line. */
  render(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  #pushElement(verb: TypedElement["verb"], spec: NftElementSpec): this {
    const line = `${verb} element ${elementText(spec)}`;
    const { type } = spec;
    this.#push(line);
    if (type !== undefined) this.#elements.push({ ...spec, type, verb, line });
    return this;
  }

  #push(line: string): this {
    if (/[\n\r\0]/.test(line)) throw invalid(`an nft verb must be one line: ${JSON.stringify(line)}`);
    this.#lines.push(line);
    return this;
  }
}

/**
 * A comment that nft accepts and lists unchanged: its quoted strings know no escape, so a double quote becomes a
 * single one, and control characters become spaces; what is beyond {@link NFT_COMMENT_BYTES} is cut, at a
 * character's border. Cut, not refused: a comment is a label for people, and a long name must not keep a container
 * off its network. Who matches by comment puts what is unique in front.
 */
export function nftComment(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  const clean = text.replace(/"/g, "'").replace(/[\u0000-\u001f\u007f]/g, " ");
  return cutBytes(clean, NFT_COMMENT_BYTES);
}

function cutBytes(text: string, limit: number): string {
  // Most comments are short: no encoding for what cannot be too long.
  if (text.length * 3 <= limit) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= limit) return text;
  let end = limit;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}

function name(text: string): string {
  if (!/^[A-Za-z][\w./-]{0,254}$/.test(text)) throw invalid(`not a name that nft accepts: ${JSON.stringify(text)}`);
  return text;
}

function chainPath(spec: NftChainName): string {
  return `${spec.family} ${name(spec.table)} ${name(spec.chain)}`;
}

function setPath(spec: NftSetName): string {
  return `${spec.family} ${name(spec.table)} ${name(spec.set)}`;
}

function mapPath(spec: NftMapName): string {
  return `${spec.family} ${name(spec.table)} ${name(spec.map)}`;
}

function elementText(spec: NftElementSpec): string {
  const value = spec.value === undefined ? "" : ` : ${spec.value}`;
  return `${setPath(spec)} { ${spec.key}${commentText(spec.comment)}${value} }`;
}

function hookText({ type, hook, priority, policy }: NftHook): string {
  return ` { type ${type} hook ${hook} priority ${priority};${policy === undefined ? "" : ` policy ${policy};`} }`;
}

function attributes(spec: { readonly flags?: readonly string[]; readonly comment?: string }): string {
  const flags = spec.flags === undefined || spec.flags.length === 0 ? "" : ` flags ${spec.flags.join(", ")};`;
  return `${flags}${spec.comment === undefined ? "" : `${commentText(spec.comment)};`}`;
}

function commentText(comment: string | undefined): string {
  return comment === undefined ? "" : ` comment "${nftComment(comment)}"`;
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: "nft" });
}
