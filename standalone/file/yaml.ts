/**
 * A YAML document read with its positions: every value knows where it stands, so that whatever is wrong with it can
 * be said with file, line and column.
 *
 * Reading goes on past a mistake, which is noted and reads as an absent value; {@link Source.finish} throws all of
 * them at once.
 *
 * @module
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  type YAMLParseError,
} from "yaml";
import { TsnetError } from "../../lib/errors.ts";
import { suggest } from "../../lib/suggest.ts";
import { composeKey } from "./compose.ts";

interface Problem {
  readonly offset: number;
  /** What is wrong: `containers.web.ports`; undefined: the text as YAML. */
  readonly what?: string;
  readonly text: string;
}

/** How a problem is said; with file, line and column unless another way is given. */
export type Say = (what: string, text: string) => string;

/** One YAML file and what is wrong with it. */
export class Source {
  readonly path: string;
  readonly #document: Document.Parsed;
  readonly #lines = new LineCounter();
  readonly #problems: Problem[] = [];
  readonly #say: Say | undefined;

  /** @param path names the file in messages. */
  constructor(text: string, path: string, say?: Say) {
    this.path = path;
    this.#say = say;
    this.#document = parseDocument(text, {
      version: "1.2",
      lineCounter: this.#lines,
      prettyErrors: false,
      stringKeys: true,
    });
    // A file that is indented by tabs has one on every line.
    const [firstTab] = this.#document.errors.filter(({ code }) => code === "TAB_AS_INDENT");
    for (const error of this.#document.errors) {
      if (error.code !== "TAB_AS_INDENT" || error === firstTab) this.note(error.pos[0], sentenceOf(error));
    }
  }

  /** The whole document as a value. */
  get root(): Value {
    return new Value(this, this.#document.contents, { what: "the file", offset: 0 });
  }

  /** Notes that something at `offset` is wrong. */
  note(offset: number, text: string, what?: string): void {
    this.#problems.push({ offset, text, ...(what === undefined ? {} : { what }) });
  }

  /** What an alias stands for. */
  resolve(node: Node | null): Node | null {
    return isAlias(node) ? (node.resolve(this.#document) ?? null) : node;
  }

  /** @throws TsnetError `invalid` with a line for each mistake: `FILE:LINE:COLUMN: what was found, what is allowed`. */
  finish(): void {
    if (this.#problems.length === 0) return;
    const lines = this.#problems.toSorted((a, b) => a.offset - b.offset).map((problem) => this.#sentenceOf(problem));
    throw new TsnetError([...new Set(lines)].join("\n"), { code: "invalid", op: "read file" });
  }

  #sentenceOf({ offset, what, text }: Problem): string {
    if (this.#say !== undefined) return this.#say(what ?? "", text);
    return `${this.path}:${this.#positionOf(offset)}: ${what === undefined ? text : `${what}: ${text}`}`;
  }

  #positionOf(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${Math.max(line, 1)}:${Math.max(col, 1)}`;
  }
}

/** Where a value stands: a name for it (`containers.web.ports`), and where to point if it has no place of its own. */
interface Place {
  readonly what: string;
  readonly offset: number;
}

/** One value of the document. */
export class Value {
  readonly #source: Source;
  readonly #node: Node | null;
  readonly #place: Place;

  constructor(source: Source, node: Node | null, place: Place) {
    this.#source = source;
    this.#node = source.resolve(node);
    this.#place = { ...place, offset: node?.range?.[0] ?? place.offset };
  }

  /** Whether nothing was written: `key:`. */
  get empty(): boolean {
    return this.#node === null || (isScalar(this.#node) && this.#node.value === null);
  }

  /** Whether it is a string, number or boolean. */
  get isText(): boolean {
    return this.#scalar() !== undefined;
  }

  get isMap(): boolean {
    return isMap(this.#node);
  }

  get isList(): boolean {
    return isSeq(this.#node);
  }

  /** Notes what is wrong with this value. */
  problem(text: string): undefined {
    this.#source.note(this.#place.offset, text, this.#place.what);
    return undefined;
  }

  /** Notes that it is of the wrong kind. */
  wrong(allowed: string): undefined {
    return this.problem(`found ${this.#found()}, allowed is ${allowed}`);
  }

  /** The text of a string, number or boolean as it was written: `1.10` stays `1.10`. */
  text(allowed: string): string | undefined {
    const scalar = this.#scalar();
    if (scalar === undefined) return this.wrong(allowed);
    return typeof scalar.value === "string" ? scalar.value : (scalar.source ?? String(scalar.value));
  }

  /** What `parse` makes of the text; its error becomes the problem. */
  parsed<T>(allowed: string, parse: (text: string) => T | undefined): T | undefined {
    const text = this.text(allowed);
    if (text === undefined) return undefined;
    try {
      return parse(text) ?? this.wrong(allowed);
    } catch {
      return this.wrong(allowed);
    }
  }

  boolean(): boolean | undefined {
    const value = this.#scalar()?.value;
    return typeof value === "boolean" ? value : this.wrong("true or false");
  }

  integer(least: number, most: number): number | undefined {
    const value = this.#scalar()?.value;
    const good = typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
    return good ? value : this.wrong(`a whole number from ${least} to ${most}`);
  }

  /** The entries of a list. */
  list(allowed: string): readonly Value[] {
    if (!isSeq(this.#node)) {
      this.wrong(allowed);
      return [];
    }
    const { what, offset } = this.#place;
    return this.#node.items.map(
      (item, at) => new Value(this.#source, item as Node | null, { what: `${what}[${at}]`, offset }),
    );
  }

  /** The entries of a mapping whose keys are names of somebody's choice. An empty value has none. */
  entries(allowed: string): readonly Entry[] {
    if (this.empty) return [];
    if (!isMap(this.#node)) {
      this.wrong(allowed);
      return [];
    }
    const prefix = this.#place.what === "the file" ? "" : `${this.#place.what}.`;
    return this.#node.items.flatMap((pair) => {
      const key = pair.key as Scalar;
      const name = String(key.value);
      const place = { what: `${prefix}${name}`, offset: key.range?.[0] ?? this.#place.offset };
      return [
        {
          name,
          key: new Value(this.#source, key, place),
          value: new Value(this.#source, pair.value as Node | null, place),
        },
      ];
    });
  }

  /** The values of a mapping with known keys; any other key is a problem, with the one that was probably meant. */
  fields<Key extends string>(known: readonly Key[]): Partial<Record<Key, Value>> {
    const fields: Partial<Record<Key, Value>> = {};
    for (const { name, key, value } of this.entries(`a mapping with the keys ${known.join(", ")}`)) {
      const match = known.find((candidate) => candidate === name);
      if (match !== undefined) fields[match] = value;
      else {
        const meant = key.#unknown(name, known);
        // One mistake: what it stands for is not missing as well.
        if (meant !== undefined) fields[meant] ??= value;
      }
    }
    return fields;
  }

  /** The value of one key, or undefined; nothing is noted. */
  find(name: string): Value | undefined {
    return this.isMap ? this.entries("").find((entry) => entry.name === name)?.value : undefined;
  }

  /** Notes that it is no known key, and returns the one that was meant. */
  #unknown<Key extends string>(name: string, known: readonly Key[]): Key | undefined {
    const elsewhere = composeKey(name, known);
    const meant = elsewhere === undefined ? suggest(name, known) : elsewhere.key;
    if (elsewhere !== undefined) this.problem(`no key of tsnet's: ${elsewhere.say}`);
    else if (meant !== undefined) this.problem(`unknown key "${name}", did you mean "${meant}"?`);
    else this.problem(`unknown key "${name}"; allowed are ${known.join(", ")}`);
    return known.find((one) => one === meant);
  }

  #scalar(): Scalar | undefined {
    return isScalar(this.#node) && this.#node.value !== null ? this.#node : undefined;
  }

  #found(): string {
    const node = this.#node;
    if (this.empty) return "nothing";
    if (isMap(node)) return "a mapping";
    if (isSeq(node)) return "a list";
    const scalar = this.#scalar();
    return typeof scalar?.value === "string" ? JSON.stringify(scalar.value) : (scalar?.source ?? "something else");
  }
}

/** One key of a mapping and its value. */
export interface Entry {
  readonly name: string;
  readonly key: Value;
  readonly value: Value;
}

/** `, did you mean "ports"?`, or nothing where no known name is near. */
export function didYouMean(name: string, known: readonly string[]): string {
  const meant = suggest(name, known);
  return meant === undefined ? "" : `, did you mean "${meant}"?`;
}

function sentenceOf({ code, message }: YAMLParseError): string {
  if (code === "TAB_AS_INDENT") return "a tab, and YAML is indented by spaces alone: replace all tabs";
  if (code === "DUPLICATE_KEY") return "the same key is there twice: leave one of them out";
  return message.charAt(0).toLowerCase() + message.slice(1);
}
