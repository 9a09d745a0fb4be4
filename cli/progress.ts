/**
 * Long work on a terminal: one line a container with what it waits for, redrawn in place and gone at the end.
 * Anywhere else nothing is written, so that logs and pipes hold results alone.
 *
 * @module
 */
import { writeStderr } from "../lib/sys/stdio.ts";
import type { Progress } from "../standalone/progress.ts";

// Milliseconds between two drawings: more often nobody can read.
const PAUSE = 50;

/** Runs `work` with lines on standard error while it goes on. */
export async function withProgress<T>(work: (progress: Progress) => Promise<T>): Promise<T> {
  const { isTTY, rows, columns } = process.stderr;
  if (isTTY !== true || process.env.TERM === "dumb") return work(() => {});
  const lines = new ProgressLines(writeStderr, { rows: rows || 24, columns: columns || 80 });
  try {
    return await work((name, doing) => lines.tell(name, doing));
  } finally {
    lines.close();
  }
}

/** The lines, as text for a terminal of some size. */
export class ProgressLines {
  readonly #write: (text: string) => void;
  readonly #size: { readonly rows: number; readonly columns: number };
  readonly #doing = new Map<string, string>();
  #done = 0;
  #drawn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(write: (text: string) => void, size: { readonly rows: number; readonly columns: number }) {
    this.#write = write;
    this.#size = size;
  }

  tell(name: string, doing: string | undefined): void {
    if (doing !== undefined) this.#doing.set(name, doing);
    else if (this.#doing.delete(name)) this.#done++;
    this.#timer ??= setTimeout(() => this.#draw(), PAUSE);
  }

  /** Takes the lines away. */
  close(): void {
    clearTimeout(this.#timer);
    this.#write(this.#erasure());
    this.#drawn = 0;
  }

  #draw(): void {
    this.#timer = undefined;
    const lines = this.#lines();
    this.#write(`${this.#erasure()}${lines.map((line) => `${line}\n`).join("")}`);
    this.#drawn = lines.length;
  }

  #lines(): readonly string[] {
    // The last row is where the cursor stands, the one before for what does not fit.
    const room = Math.max(1, this.#size.rows - 2);
    const all = [...this.#doing];
    const width = Math.max(...all.map(([name]) => name.length), 0);
    const shown = all.slice(0, room).map(([name, doing]) => `${name.padEnd(width)}  ${doing}`);
    const more = all.length - shown.length;
    const rest = [...(more > 0 ? [`${more} more`] : []), ...(this.#done > 0 ? [`${this.#done} done`] : [])];
    return [...shown, ...(rest.length === 0 ? [] : [rest.join(", ")])].map((line) =>
      line.slice(0, this.#size.columns - 1),
    );
  }

  /** Moves up to the first line and erases all below: ECMA-48's CUU and ED. */
  #erasure(): string {
    return this.#drawn === 0 ? "" : `\u001b[${this.#drawn}A\u001b[J`;
  }
}
