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
import { nftComment } from "./comment.ts";
import type {
  NftChainName,
  NftElementKey,
  NftElementSpec,
  NftFamily,
  NftHook,
  NftMapName,
  NftMapSpec,
  NftRuleSpec,
  NftSetName,
  NftSetSpec,
  PlainVerb,
} from "./specs.ts";

export { nftComment } from "./comment.ts";
export type * from "./specs.ts";

/** Verbs for one atomic change. */
export class NftTransaction {
  readonly #lines: string[] = [];
  readonly #plain: PlainVerb[] = [];

  /** Whether no verb was queued. */
  get empty(): boolean {
    return this.#lines.length === 0;
  }

  /** All verbs, if each of them can go to the kernel without nft. */
  get plain(): readonly PlainVerb[] | undefined {
    return this.#plain.length === this.#lines.length ? this.#plain : undefined;
  }

  /** `add table`: fine if it is there. */
  addTable(family: NftFamily, table: string): this {
    const line = `add table ${family} ${name(table)}`;
    return this.#push(line, { op: "add", object: "table", family, table, line });
  }

  /** `delete table` with all that is in it. Fails with `not-found`. */
  deleteTable(family: NftFamily, table: string): this {
    const line = `delete table ${family} ${name(table)}`;
    return this.#push(line, { op: "delete", object: "table", family, table, line });
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
    return this.#pushChain("flush", spec);
  }

  /** `delete chain` with its rules; nobody may jump to it. Fails with `not-found` or `busy`. */
  deleteChain(spec: NftChainName): this {
    return this.#pushChain("delete", spec);
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
    const { family, table, chain, handle } = spec;
    const line = `delete rule ${chainPath(spec)} handle ${handle}`;
    return this.#push(line, { op: "delete", object: "rule", family, table, name: chain, handle, line });
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
    const { family, table, set } = spec;
    const line = `delete set ${setPath(spec)}`;
    return this.#push(line, { op: "delete", object: "set", family, table, name: set, line });
  }

  /** `delete map`, which no rule may use. Fails with `not-found` or `busy`. */
  deleteMap(spec: NftMapName): this {
    const { family, table, map } = spec;
    const line = `delete map ${mapPath(spec)}`;
    return this.#push(line, { op: "delete", object: "set", family, table, name: map, line });
  }

  /** The text for `nft -f -`, one verb a line. */
  render(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  #pushChain(op: "flush" | "delete", spec: NftChainName): this {
    const { family, table, chain } = spec;
    const line = `${op} chain ${chainPath(spec)}`;
    return this.#push(line, { op, object: "chain", family, table, name: chain, line });
  }

  #pushElement(op: "add" | "create" | "delete", spec: NftElementSpec): this {
    const { family, table, set, type } = spec;
    const line = `${op} element ${elementText(spec)}`;
    if (type === undefined) return this.#push(line);
    const element = { ...spec, type };
    return this.#push(line, { op, object: "element", family, table, name: set, element, line });
  }

  #push(line: string, plain?: PlainVerb): this {
    if (/[\n\r\0]/.test(line)) throw invalid(`an nft verb must be one line: ${JSON.stringify(line)}`);
    this.#lines.push(line);
    if (plain !== undefined) this.#plain.push(plain);
    return this;
  }
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
