/**
 * What nft says when it fails, as codes. Nothing else reads its text.
 *
 * nft points at the place in the transaction that it means: `/dev/stdin:2:17-23: Error: Could not process rule: No
 * such file or directory`. As every verb is one line, the line is the verb, and the column tells whether it is the
 * table, the chain or something inside the rule that is not there. The wording is nearly the same from 1.0.6 to 1.1.3.
 *
 * @module
 */
import { type ErrorCode, TsnetError } from "../errors.ts";

type Verdict = { readonly code: ErrorCode; readonly reason: string };

/** The error for a failed `nft` that was given `text` and wrote `stderr`. Of several complaints the first counts. */
export function nftFailure(text: string, stderr: string): TsnetError {
  const found = /^(?:\/dev\/stdin:(\d+):(\d+)-(\d+): |internal:\S+ )?Error: (.*)$/m.exec(stderr);
  const [, number, start, end, said = stderr.trim()] = found ?? [];
  const lines = text.trimEnd().split("\n");
  // Without a place only a single verb can be meant.
  const line = number === undefined ? (lines.length === 1 ? (lines[0] ?? "") : "") : (lines[Number(number) - 1] ?? "");
  const place = number === undefined ? undefined : new Place(line, Number(start) - 1, Number(end));
  const { code, reason } = judge(said, line, place);
  const verb = line === "" ? "" : ` ${shorten(line)}:`;
  return new TsnetError(`nft:${verb} ${reason}`, { code, op: "nft", details: stderr.trim() });
}

/** What of a verb the kernel refused: its table, the chain or set that it names, or what is in that. */
export type RefusedPart = "table" | "name" | "content";

/** The error for a verb that was sent without nft: the same as with it. */
export function refusal(line: string, errno: string, part: RefusedPart): TsnetError {
  const words = line.split(" ");
  const skip = { table: 3, name: 4, content: words.length - 1 }[part];
  const start = Buffer.byteLength(`${words.slice(0, skip).join(" ")} `);
  const place = new Place(line, start, start + Buffer.byteLength(words[skip] ?? ""));
  const { code, reason } = judge(STRERROR.get(errno) ?? errno, line, place);
  return new TsnetError(`nft: ${shorten(line)}: ${reason}`, { code, op: "nft", errno });
}

const STRERROR: ReadonlyMap<string, string> = new Map([
  ["ENOENT", "No such file or directory"],
  ["EEXIST", "File exists"],
  ["EBUSY", "Device or resource busy"],
  ["EPERM", "Operation not permitted"],
  ["EOPNOTSUPP", "Operation not supported"],
]);

/** The part of a verb that nft points at. */
class Place {
  /** 0 is `add`, 1 `element`, 2 the family, 3 the table, 4 the chain, set or map; more is what is inside. */
  readonly word: number;
  readonly text: string;
  readonly before: string;

  constructor(line: string, start: number, end: number) {
    // Columns count bytes, from 1.
    const bytes = Buffer.from(line);
    this.text = bytes.toString("utf8", start, end).trim();
    this.before = bytes.toString("utf8", 0, start);
    this.word = this.before.split(" ").length - 1;
  }
}

function judge(said: string, line: string, place: Place | undefined): Verdict {
  if (said.includes("No such file or directory")) return missing(line, place);
  // nft itself looks into interval sets.
  if (said.includes("element does not exist")) return { code: "not-found", reason: "there is no such element" };
  if (/File exists|already exists in table/.test(said)) {
    if (line.startsWith("create")) return { code: "exists", reason: "it is there already" };
    const object = line.startsWith("add element")
      ? "the key is there with another value"
      : "it is there, made otherwise";
    return { code: "conflict", reason: `${object}: delete that first` };
  }
  if (said.includes("interval overlaps") || said.includes("conflicting intervals")) {
    return { code: "conflict", reason: "it overlaps with an element that is there" };
  }
  if (said.includes("Device or resource busy")) return { code: "busy", reason: "it is in use by a rule or an element" };
  // What the kernel answers for another priority of a base chain; where it lacks a chain type it says ENOENT.
  if (said.includes("Operation not supported") && line.startsWith("add chain")) {
    return { code: "conflict", reason: "it is there with another hook or priority: delete that first" };
  }
  if (/Operation not supported|Protocol not supported|Address family not supported/.test(said)) {
    return {
      code: "kernel-lacks",
      reason: `the kernel lacks what this asks for, or has it not in this place (${said})`,
    };
  }
  if (said.includes("Operation not permitted")) return { code: "permission", reason: "not permitted: run as root" };
  return { code: "program", reason: place?.text === undefined ? said : `${said}, at "${shorten(place.text)}"` };
}

function missing(line: string, place: Place | undefined): Verdict {
  const [op = "", object = "", family, table, name] = line.split(" ");
  const no = (what: string): Verdict => ({ code: "not-found", reason: `there is no ${what}` });
  if (place === undefined || place.word === 3) return no(`table ${family} ${table}`);
  if (place.word === 4)
    return no(`${object === "rule" ? "chain" : object === "element" ? "set or map" : object} ${name}`);
  if (object === "element") return no(op === "delete" ? "such element" : "chain for its verdict");
  if (/[@"]/.test(place.text) || /\b(?:jump|goto|handle) $/.test(place.before)) return no(place.text);
  return { code: "kernel-lacks", reason: `the kernel has no "${shorten(place.text)}"` };
}

function shorten(text: string): string {
  return text.length > 160 ? `${text.slice(0, 160)}...` : text;
}
