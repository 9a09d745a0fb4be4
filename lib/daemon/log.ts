/**
 * The daemon's log: one event a line on standard error, what changed, how much, how long.
 *
 * Written synchronously, so that the last line before an end is there; no worker and no buffer stand between. As
 * text it is for people, `2026-01-02T03:04:05.678Z INFO synced family=4 services=12 ms=3`; as JSON for collectors.
 *
 * @module
 */
import pino from "pino";
import { writeStderr } from "../sys/stdio.ts";

/** Values of a line; undefined ones are left out. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A line that only a verbosity of at least `level` shows: 2 every sync, 4 every object, as klog's -v. */
  debug(level: number, message: string, fields?: LogFields): void;
}

export interface LogOptions {
  readonly format: "text" | "json";
  /** 0 to 10. */
  readonly verbosity: number;
  /** Takes each line with its end; standard error unless given. */
  readonly write?: (line: string) => void;
}

/** Opens the log. */
export function openLog({ format, verbosity, write = writeStderr }: LogOptions): Log {
  const logger = pino(
    {
      level: "debug",
      // No pid and no host name: whoever collects the lines knows both.
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: format === "json" ? write : (line: string) => write(asText(line)) },
  );
  return {
    info: (message, fields = {}) => logger.info(fields, message),
    warn: (message, fields = {}) => logger.warn(fields, message),
    error: (message, fields = {}) => logger.error(fields, message),
    debug(level, message, fields = {}) {
      if (level <= verbosity) logger.debug({ v: level, ...fields }, message);
    },
  };
}

/** pino's line as people read it: time, level, message, then the rest as key=value. */
function asText(line: string): string {
  const parsed: unknown = JSON.parse(line);
  const { time, level, msg, ...fields }: Record<string, unknown> =
    typeof parsed === "object" && parsed !== null ? { ...parsed } : {};
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${textOf(value)}`);
  return `${time} ${String(level).toUpperCase()} ${oneLine(String(msg))}${rest.join("")}\n`;
}

function textOf(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value);
  return /^[^\s"=]+$/.test(value) ? oneLine(value) : JSON.stringify(value);
}

// A message may quote what came from outside: one event stays one line.
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is for
  return text.replace(/[\u0000-\u001f]/g, (character) => JSON.stringify(character).slice(1, -1));
}
