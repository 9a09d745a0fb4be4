/**
 * What the kernel says of a kind of link that it does not know, in words that help.
 *
 * @module
 */
import { hasErrno, TsnetError } from "../errors.ts";
import { linkAdd, linkDel } from "../netlink/link.ts";
import type { RtSocket } from "../netlink/socket.ts";

/** The error for a `kind` that was refused with EOPNOTSUPP. */
export function kernelLacks(kind: string, cause: unknown): TsnetError {
  const message = `this kernel has no ${kind}: load its module (modprobe ${MODULES[kind] ?? kind}), or take a kernel that has it`;
  return new TsnetError(message, { code: "kernel-lacks", op: `add ${kind}`, errno: "EOPNOTSUPP", cause });
}

const MODULES: Readonly<Record<string, string>> = { vlan: "8021q" };

/**
 * Asks for a link that no driver makes, one without a MAC, to learn whether there is a driver.
 *
 * @throws TsnetError `kernel-lacks`.
 */
export function requireKind(socket: RtSocket, kind: string): void {
  try {
    linkAdd(socket, { name: PROBE, kind: { kind }, mac: "00:00:00:00:00:00" });
  } catch (error) {
    if (hasErrno(error, "EOPNOTSUPP")) throw kernelLacks(kind, error);
    if (hasErrno(error, "EADDRNOTAVAIL")) return;
    throw error;
  }
  linkDel(socket, PROBE);
}

const PROBE = "tsnet-probe";
