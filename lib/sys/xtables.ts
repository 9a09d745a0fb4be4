/**
 * What the kernel tells of iptables-legacy's tables without handing them out, which it does only whole: tens of
 * megabytes where there are ten thousand services (linux/netfilter_ipv4/ip_tables.h).
 *
 * @module
 */
import { hasErrno } from "../errors.ts";
import { closeFd, getSocketOption, openRawSocket } from "./native.ts";

// IPT_SO_GET_INFO and IP6T_SO_GET_INFO are the same number, each of its own level.
const SO_GET_INFO = 64;
const SOL = { 4: 0, 6: 41 } as const;
// struct ipt_getinfo: char name[32]; u32 valid_hooks, hook_entry[5], underflow[5], num_entries, size
const INFO_BYTES = 84;
const NUM_ENTRIES_AT = 76;
const SIZE_AT = 80;

/**
 * How many entries (rules, and two or so for each chain) a table of iptables-legacy has, and how many bytes; undefined
 * where the kernel has no such table. In the namespace that the process is in.
 *
 * @throws TsnetError `permission`.
 */
export function xtablesInfo(
  family: 4 | 6,
  table: string,
): { readonly entries: number; readonly bytes: number } | undefined {
  const fd = openRawSocket(family);
  try {
    const info = Buffer.alloc(INFO_BYTES);
    info.write(table, "latin1");
    getSocketOption(fd, SOL[family], SO_GET_INFO, info);
    return { entries: info.readUInt32LE(NUM_ENTRIES_AT), bytes: info.readUInt32LE(SIZE_AT) };
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOPROTOOPT")) return undefined;
    throw error;
  } finally {
    closeFd(fd);
  }
}
