/**
 * Ethernet addresses: six bytes and their text.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";

/**
 * Reads `0a:58:0a:01:00:05`, also with dashes, or dotted in fours (`0a58.0a01.0005`).
 *
 * @throws TsnetError `invalid` for anything else.
 */
export function parseMac(text: string): Uint8Array {
  const number = macNumber(text);
  return Uint8Array.from({ length: 6 }, (_, i) => Math.floor(number / 256 ** (5 - i)) % 256);
}

/**
 * Reads the same as one number, the first byte the highest, where an array for each is too much.
 *
 * @throws TsnetError as {@link parseMac}.
 */
export function macNumber(text: string): number {
  const number = read(text);
  if (number === undefined) throw new TsnetError(`invalid MAC address: ${JSON.stringify(text)}`, { code: "invalid" });
  return number;
}

/** Lower case with colons, as the kernel's tools print it. */
export function formatMac(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += `${text === "" ? "" : ":"}${byte < 16 ? "0" : ""}${byte.toString(16)}`;
  return text;
}

/** Digit by digit: for a thousand peers at an agent's start, patterns take longer than all their netlink messages. */
function read(text: string): number | undefined {
  // aa:bb:cc:dd:ee:ff is 17 long, aabb.ccdd.eeff 14.
  if (text.length !== 17 && text.length !== 14) return undefined;
  const group = text.length === 17 ? 2 : 4;
  const separator = text.charCodeAt(group);
  if (!(group === 2 ? separator === COLON || separator === DASH : separator === DOT)) return undefined;
  let number = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (i % (group + 1) === group) {
      if (code !== separator) return undefined;
      continue;
    }
    const digit = digitOf(code);
    if (digit === undefined) return undefined;
    number = number * 16 + digit;
  }
  return number;
}

function digitOf(code: number): number | undefined {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : undefined;
}

const COLON = 0x3a;
const DASH = 0x2d;
const DOT = 0x2e;
