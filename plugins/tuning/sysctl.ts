/**
 * Sysctls by the names that configs give them. Pure.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";

/** A sysctl to set. */
export interface Sysctl {
  /** As the config has it: `net.ipv4.conf.IFNAME.arp_filter`. */
  readonly key: string;
  /** Under /proc/sys: `net/ipv4/conf/eth0/arp_filter`. */
  readonly file: string;
  readonly value: string;
}

/**
 * The file of a sysctl, as the reference plugin finds it: every dot is a slash, and the first `IFNAME` stands for the
 * interface, whose own dots are none.
 *
 * @throws TsnetError `invalid` for what lies outside of `net`.
 */
export function sysctlFile(key: string, ifname: string): string {
  // A function, as a "$&" in the interface's name would be a pattern of its own.
  const path = key.replaceAll(".", "/").replace("IFNAME", () => ifname);
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  // The kernel's files hold no NUL, and the path ends there.
  if (parts.length < 2 || parts[0] !== "net" || parts.includes("..") || path.includes("\0")) {
    throw new TsnetError(`invalid net sysctl key: ${JSON.stringify(key)}: allowed are those below net.`, {
      code: "invalid",
      op: "tuning config",
    });
  }
  return parts.join("/");
}

/** Whether a value that was read is the one that was written: the kernel prints tabs, and numbers in its own way. */
export function sameValue(found: string, wanted: string): boolean {
  const [a, b] = [words(found), words(wanted)];
  return (
    a.length === b.length &&
    a.every((word, i) => word === b[i] || (isNumber(word) && isNumber(b[i]) && Number(word) === Number(b[i])))
  );
}

function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

function isNumber(word: string | undefined): boolean {
  return word !== undefined && /^-?\d+$/.test(word);
}
