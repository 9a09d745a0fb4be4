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
  if (!FORMS.some((form) => form.test(text))) {
    throw new TsnetError(`invalid MAC address: ${JSON.stringify(text)}`, { code: "invalid" });
  }
  const digits = text.replace(/[^0-9a-fA-F]/g, "");
  return Uint8Array.from({ length: 6 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

/** Lower case with colons, as the kernel's tools print it. */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

const FORMS = [
  /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/,
  /^[0-9a-fA-F]{2}(-[0-9a-fA-F]{2}){5}$/,
  /^[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){2}$/,
];
