/**
 * Comments: what nft accepts and lists unchanged.
 *
 * @module
 */

// In UTF-8. nft refuses more than 128 (NFTNL_UDATA_COMMENT_MAXLEN), of which the closing zero may be one.
const COMMENT_BYTES = 127;

/**
 * A comment that nft accepts and lists unchanged: its quoted strings know no escape, so a double quote becomes a
 * single one, and control characters become spaces; what is beyond 127 bytes is cut, at a
 * character's border. Cut, not refused: a comment is a label for people, and a long name must not keep a container
 * off its network. Who matches by comment puts what is unique in front.
 */
export function nftComment(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  const clean = text.replace(/"/g, "'").replace(/[\u0000-\u001f\u007f]/g, " ");
  return cutBytes(clean, COMMENT_BYTES);
}

function cutBytes(text: string, limit: number): string {
  // Most comments are short: no encoding for what cannot be too long.
  if (text.length * 3 <= limit) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= limit) return text;
  let end = limit;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}
