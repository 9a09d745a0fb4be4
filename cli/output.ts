/**
 * How every command speaks: tables for people, JSON for programs, errors as `tsnet: ...`.
 *
 * Standard output carries the answer and nothing else. Colour appears on a terminal only, and never where the
 * environment has NO_COLOR (https://no-color.org).
 *
 * @module
 */
import { type Command, Option } from "commander";
import { hasErrno, isTsnetError, messageOf, TsnetError } from "../lib/errors.ts";
import { writeStderr, writeStdout } from "../lib/sys/stdio.ts";

/** Exit codes of every command: 0 done, 1 failed, 2 called wrongly. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

export type OutputFormat = "table" | "json";

export type Style = "bold" | "dim" | "red" | "green" | "yellow";

/** One column of a table. */
export interface Column<Row> {
  /** The heading, in capitals. */
  readonly title: string;
  readonly cell: (row: Row) => string;
  readonly style?: (row: Row) => Style | undefined;
  readonly align?: "left" | "right";
}

/** Gives a command its `-o, --output table|json`; read it back with {@link formatOf}. */
export function withOutput(command: Command): Command {
  return command.addOption(
    new Option("-o, --output <format>", "how to print the answer").choices(["table", "json"]).default("table"),
  );
}

/** The format that the command was asked for. */
export function formatOf(options: { readonly output?: unknown }): OutputFormat {
  return options.output === "json" ? "json" : "table";
}

/**
 * Prints `rows` in the wanted format: a table of `columns`, or the JSON of what `toJson` makes of all rows (the
 * rows themselves if it is not given).
 */
export function printRows<Row>(
  format: OutputFormat,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  toJson: (rows: readonly Row[]) => unknown = (all) => all,
): void {
  if (format === "json") printJson(toJson(rows));
  else writeStdout(renderTable(rows, columns, hasColour()));
}

/** Prints `value` as indented JSON. */
export function printJson(value: unknown): void {
  writeStdout(`${JSON.stringify(value, null, 2)}\n`);
}

/** Prints one line. */
export function printLine(text: string): void {
  writeStdout(`${text}\n`);
}

/** The table as text, its headings first; columns are two spaces apart and the last one is not padded. */
export function renderTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[], colour = false): string {
  const cells = rows.map((row) => columns.map((column) => oneLine(column.cell(row))));
  const widths = columns.map((column, at) =>
    Math.max(Bun.stringWidth(column.title), ...cells.map((line) => Bun.stringWidth(line[at] ?? ""))),
  );
  const line = (texts: readonly string[], styleOf: (column: Column<Row>) => Style | undefined) =>
    columns
      .map((column, at) => {
        const text = texts[at] ?? "";
        const style = colour ? styleOf(column) : undefined;
        const gap = " ".repeat((widths[at] ?? 0) - Bun.stringWidth(text));
        const shown = style === undefined ? text : paint(text, style);
        if (column.align === "right") return gap + shown;
        return at === columns.length - 1 ? shown : shown + gap;
      })
      .join("  ")
      .trimEnd();
  const head = line(
    columns.map(({ title }) => title),
    () => "bold",
  );
  const body = rows.map((row, at) => line(cells[at] ?? [], (column) => column.style?.(row)));
  return `${[head, ...body].join("\n")}\n`;
}

/** `text` in `style` if standard output is a terminal that may have colour, else as it is. */
export function styled(text: string, style: Style): string {
  return hasColour() ? paint(text, style) : text;
}

/** A command line that cannot be meant; `way` says what to type instead. Ends in exit code 2. */
export function usageError(message: string, way: string): TsnetError {
  return new TsnetError(`${message}: ${way}`, { code: "usage", op: "command line" });
}

/** Prints `error` as `tsnet: ...` on standard error, with its details if any, and returns the exit code for it. */
export function reportError(error: unknown): number {
  const details = isTsnetError(error) && error.details !== undefined ? `\n${error.details.trimEnd()}` : "";
  const root = hasErrno(error, "EACCES", "EPERM") && process.getuid?.() !== 0 ? " (run it as root)" : "";
  writeStderr(`${`tsnet: ${messageOf(error)}${root}${details}`.replaceAll("\n", "\n  ")}\n`);
  return isTsnetError(error, "usage") ? EXIT.usage : EXIT.failed;
}

const ANSI: Readonly<Record<Style, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 };

function paint(text: string, style: Style): string {
  return `\u001b[${ANSI[style]}m${text}\u001b[0m`;
}

function hasColour(): boolean {
  const { NO_COLOR, TERM } = process.env;
  return process.stdout.isTTY === true && (NO_COLOR ?? "") === "" && TERM !== "dumb";
}

// A name from elsewhere must not break the table, nor reach the terminal as a control sequence.
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}
