/**
 * What a program says to the kernel by netlink, from strace's dump of what it writes: byte for byte, also in
 * namespaces where strace itself cannot tell that a socket is one of netlink.
 *
 * @module
 */
import { parseAttributes } from "netlink/dist/structs";
import type { Host, Output, RunOptions } from "./host.ts";

const NLMSGHDR = 16;

/** Runs `argv` to its end and returns its messages of these types, without struct nlmsghdr. It may fail. */
export async function netlinkOf(
  host: Host,
  types: readonly number[],
  argv: readonly string[],
  options: RunOptions = {},
): Promise<{ readonly messages: readonly Buffer[]; readonly output: Output }> {
  const strace = ["strace", "-f", "-o", "/run/trace", "-e", "trace=sendmsg,sendto", "-e", "write=all"];
  const output = await host.run([...strace, ...argv], options);
  const messages = dumped(await host.ok(["cat", "/run/trace"]))
    .filter((message) => message.length >= NLMSGHDR && types.includes(message.readUInt16LE(4)))
    .map((message) => message.subarray(NLMSGHDR));
  return { messages, output };
}

/** Attributes by number. */
export function attributesOf(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const all = new Map<number, Buffer>();
  parseAttributes(bytes, ({ type, data }) => all.set(type, Buffer.from(data)));
  return all;
}

/** Each write begins at offset 0 of its dump. */
function dumped(trace: string): readonly Buffer[] {
  const writes: number[][] = [];
  for (const line of trace.split("\n")) {
    const [, offset = "", hex = ""] = /^ \| ([0-9a-f]{5,}) {2}([0-9a-f ]{48,50})/.exec(line) ?? [];
    if (offset === "") continue;
    if (Number.parseInt(offset, 16) === 0) writes.push([]);
    const bytes = hex.trim().split(/ +/);
    writes.at(-1)?.push(...bytes.map((byte) => Number.parseInt(byte, 16)));
  }
  return writes.map((bytes) => Buffer.from(bytes));
}
