/**
 * Names that have to fit into few characters: chains and devices, named from what they belong to.
 *
 * @module
 */

/**
 * `prefix` and the hexadecimal SHA-512 of `text`, cut at `length` characters: the rule by which the reference
 * plugins name theirs, so that ours can find and remove them.
 *
 * @example hashedName("CNI-", "test1234", 28) // "CNI-2bbe0c48b91a7d1b8a6753a8"
 */
export function hashedName(prefix: string, text: string, length: number): string {
  return (prefix + new Bun.CryptoHasher("sha512").update(text).digest("hex")).slice(0, length);
}
