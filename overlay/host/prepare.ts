/**
 * The host as a router between its containers and the other hosts: forwarding, and what a look at br_netfilter
 * tells.
 *
 * Nothing here keeps an agent from its work: a sysctl that cannot be written, as in a container whose /proc/sys is
 * read-only, is a warning that names it, since it may be right already on the next start, or be set by somebody else.
 *
 * @module
 */
import type { Log } from "../../lib/daemon/log.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Family } from "../../lib/net/address.ts";
import { namesIn, readSysctl, writeSysctl } from "../../lib/sys/files.ts";
import { checkBridgeFilter } from "./bridgefilter.ts";

export interface PrepareOptions {
  /** Whether somebody serves Services to the containers: a cluster. */
  readonly services?: boolean;
}

const FORWARDING = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const;

/**
 * Turns forwarding on where it is off, without costing the host a default route that it has by router advertisement,
 * and says what containers may miss on this host. Forwarding stays on when the overlay goes: others may rely on it by
 * then.
 */
export function prepareHost(families: readonly Family[], log: Log, { services = false }: PrepareOptions = {}): void {
  for (const family of families) ensureForwarding(family, log);
  checkBridgeFilter(families, log, services);
}

/** Forwarding as it was last seen, so that it is turned on again where somebody turned it off since. */
export class Forwarding {
  readonly #on = new Set<Family>();

  /** The sysctls that were off and are on again. One that cannot be written is tried and told once. */
  keep(families: readonly Family[], log: Log): readonly string[] {
    const repaired: string[] = [];
    for (const family of families) {
      if (this.#isOn(family)) this.#on.add(family);
      else if (this.#on.delete(family)) {
        ensureForwarding(family, log);
        if (this.#isOn(family)) repaired.push(dotted(FORWARDING[family]));
      }
    }
    return repaired;
  }

  #isOn(family: Family): boolean {
    return readSysctl(FORWARDING[family]) === "1";
  }
}

function ensureForwarding(family: Family, log: Log): void {
  const key = FORWARDING[family];
  const before = readSysctl(key);
  if (before === undefined) {
    log.warn(`the kernel has no ${dotted(key)}: nothing is forwarded over IPv${family}`);
    return;
  }
  if (before === "1") return;
  if (family === 6) keepRouterAdvertisements(log);
  if (!set(key, "1", log, "nothing is forwarded to or from containers")) return;
  log.info(`${dotted(key)} was off: turned on, and it stays on when the overlay is removed`);
}

const NO_LINKS = new Set(["all", "default", "lo"]);

/** A host that forwards ignores router advertisements, and at once loses the routes that it has by them, unless accept_ra is 2. */
function keepRouterAdvertisements(log: Log): void {
  for (const name of namesIn("/proc/sys/net/ipv6/conf")) {
    if (NO_LINKS.has(name)) continue;
    const key = `net/ipv6/conf/${name}/accept_ra`;
    if (readSysctl(key) === "1") set(key, "2", log, "routes that this host has by router advertisement are lost");
  }
}

/** False, with a warning of what comes of it, if it cannot be written. */
function set(key: string, value: string, log: Log, otherwise: string): boolean {
  try {
    writeSysctl(key, value);
    return true;
  } catch (error) {
    log.warn(`cannot set ${dotted(key)}, so that ${otherwise}: sysctl -w ${dotted(key)}=${value}`, {
      now: readSysctl(key),
      reason: messageOf(error),
    });
    return false;
  }
}

/** As sysctl takes it: a dot in a link's name, as in eth0.100, is a slash there. */
function dotted(key: string): string {
  return key.replace(/[/.]/g, (separator) => (separator === "/" ? "." : "/"));
}
