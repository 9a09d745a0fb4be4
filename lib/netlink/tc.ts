/**
 * What messages of traffic control have in common.
 *
 * @module
 */
import { formatTc, type Tc } from "netlink/dist/rt/gen_structs";
import type { StreamData } from "netlink/dist/structs";
import { TsnetError } from "../errors.ts";
import { TCA_KIND, TCA_OPTIONS } from "./constants.ts";
import type { Link } from "./link.ts";

/** The link that a qdisc or filter is for: its name is for errors. */
export type TcLink = Pick<Link, "index" | "name">;

/** `struct tcmsg`, the kind's name, and its options if it has some. */
export function tcBody(head: Tc, kind: string, options?: StreamData): StreamData {
  return (out) => {
    out.emit(formatTc(head));
    out.push(TCA_KIND, Buffer.from(`${kind}\0`));
    if (options !== undefined) out.push(TCA_OPTIONS, options);
  };
}

/** What it means that the kernel has no object of the kind asked for: no module. */
export function lacking(what: string, module: string): TsnetError {
  return new TsnetError(`${what}: this kernel has no ${module}`, { code: "kernel-lacks", op: what, errno: "ENOENT" });
}
