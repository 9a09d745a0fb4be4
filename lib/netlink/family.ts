/**
 * IP families as the kernel numbers them.
 *
 * @module
 */
import type { Family } from "../net/address.ts";
import { AF_INET, AF_INET6, AF_UNSPEC } from "./constants.ts";

/** `AF_INET`, `AF_INET6`, or `AF_UNSPEC` for both. */
export function familyNumber(family: Family | undefined): number {
  if (family === undefined) return AF_UNSPEC;
  return family === 4 ? AF_INET : AF_INET6;
}

/** Whether an answer is about IP: a dump of all families also has those that we do not speak. */
export function isAboutIp(payload: Buffer): boolean {
  return [AF_INET, AF_INET6].includes(payload.readUInt8(0));
}
