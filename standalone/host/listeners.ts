/**
 * Which ports of the host programs listen on: the kernel's tables of sockets, read.
 *
 * @module
 */
import { type Address, addressFromBytes } from "../../lib/net/address.ts";
import type { Protocol } from "../file/project.ts";

/** One socket that is bound and takes what comes. */
export interface Listener {
  readonly protocol: Protocol;
  /** The address that it is bound to; its value is 0 for any. */
  readonly address: Address;
  readonly port: number;
  /** The socket's inode, by which its owner is found. */
  readonly inode: string;
}

/** The tables to read, in /proc/net. SCTP's has another form and is left out. */
export const TABLES = { tcp: "tcp", tcp6: "tcp", udp: "udp", udp6: "udp" } as const satisfies Record<string, Protocol>;

// TCP_LISTEN and, for a UDP socket that is not connected, TCP_CLOSE of net/tcp_states.h.
const STATE = { tcp: "0A", udp: "07" } as const;

/** The listeners of one table: proc_net_tcp(5). */
export function parseListeners(text: string, protocol: "tcp" | "udp"): readonly Listener[] {
  return text.split("\n").flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, local = "", , state] = fields;
    const [address = "", port = ""] = local.split(":");
    if (state !== STATE[protocol] || address === "" || port === "") return [];
    return [
      { protocol, address: parseKernelAddress(address), port: Number.parseInt(port, 16), inode: fields[9] ?? "" },
    ];
  });
}

/** Whether a port published on `hostIp` (undefined: every address) is the listener's. */
export function isHeldBy(
  listener: Listener,
  port: { readonly protocol: Protocol; readonly hostPort: number; readonly hostIp?: Address },
): boolean {
  if (listener.protocol !== port.protocol || listener.port !== port.hostPort) return false;
  const { hostIp } = port;
  // A socket bound to [::] has the port of IPv4, too, unless it was told otherwise, which the table does not show.
  if (hostIp === undefined || hostIp.value === 0n || listener.address.value === 0n) return true;
  return listener.address.family === hostIp.family && listener.address.value === hostIp.value;
}

/** Groups of four bytes, each printed as a number of this machine's byte order. */
function parseKernelAddress(hex: string): Address {
  const bytes = Buffer.from(hex, "hex");
  if (new Uint8Array(new Uint32Array([1]).buffer)[0] === 1) bytes.swap32();
  return addressFromBytes(bytes);
}
