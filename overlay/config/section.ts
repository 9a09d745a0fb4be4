/**
 * An object of somebody's JSON or YAML, read as Go reads it: keys in whatever case, null for what is not set. What is
 * wrong and what is unknown is collected, so that all of it is told at once.
 *
 * @module
 */
import { suggest } from "../../lib/suggest.ts";

/** What a reader found, a line each: `Backend.VNI: ...`. */
export interface Findings {
  /** Each makes the whole unusable. */
  readonly problems: string[];
  /** Each is left out or changes nothing. */
  readonly warnings: string[];
}

export type Fields = Readonly<Record<string, unknown>>;

export class Section {
  readonly #values = new Map<string, unknown>();
  readonly #path: string;
  readonly #findings: Findings;

  /** `known`: the keys, as their documentation writes them. `path`: what stands before a key in a message. */
  constructor(fields: Fields, { path, known, findings }: SectionOptions) {
    this.#path = path;
    this.#findings = findings;
    const names = new Map(known.map((name) => [name.toLowerCase(), name]));
    for (const [key, value] of Object.entries(fields)) {
      const name = names.get(key.toLowerCase());
      if (name !== undefined) this.#values.set(name, value);
      else findings.warnings.push(`${path}${key}: ${unknown(key, known)}`);
    }
  }

  /** Whether the key is there, with anything but null. */
  has(key: string): boolean {
    return this.data(key) !== undefined;
  }

  data(key: string): unknown {
    return this.#values.get(key) ?? undefined;
  }

  text(key: string): string | undefined {
    const value = this.data(key);
    return typeof value === "string" || value === undefined ? value : this.#wanted(key, "a text");
  }

  flag(key: string): boolean | undefined {
    const value = this.data(key);
    return typeof value === "boolean" || value === undefined ? value : this.#wanted(key, "true or false");
  }

  /** A whole number of `least` to `most`. */
  whole(key: string, least: number, most: number): number | undefined {
    const value = this.data(key);
    if (value === undefined) return undefined;
    const fits = typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
    return fits ? value : this.#wanted(key, `a whole number of ${least} to ${most}`);
  }

  /** What `parse` makes of a text; a throw of it is a problem, and so is undefined. */
  parsed<T>(key: string, wanted: string, parse: (text: string) => T | undefined): T | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    try {
      return parse(text) ?? this.#wanted(key, wanted);
    } catch {
      return this.#wanted(key, wanted);
    }
  }

  problem(key: string, text: string): void {
    this.#findings.problems.push(`${this.#path}${key}: ${text}`);
  }

  warning(key: string, text: string): void {
    this.#findings.warnings.push(`${this.#path}${key}: ${text}`);
  }

  #wanted(key: string, what: string): undefined {
    this.problem(key, `it is ${JSON.stringify(this.data(key))}, wanted is ${what}`);
  }
}

export interface SectionOptions {
  readonly path: string;
  readonly known: readonly string[];
  readonly findings: Findings;
}

export function isFields(data: unknown): data is Fields {
  return typeof data === "object" && data !== null && !Array.isArray(data);
}

function unknown(key: string, known: readonly string[]): string {
  const nearest = suggest(key, known);
  return `no such key${nearest === undefined ? "" : `, the nearest is ${nearest}`}; it is left out`;
}
