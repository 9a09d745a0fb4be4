/**
 * Telling whether two wishes are the same, across processes.
 *
 * @module
 */

/** The same for values that print the same JSON. */
export function fingerprintOf(value: unknown): string {
  const text = JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? String(inner) : inner));
  return new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 32);
}
