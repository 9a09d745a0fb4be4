/**
 * Rules and sets that a proxy left in iptables, of both families and of each variant that is installed: whichever this
 * node uses now, it may have used the other one before.
 *
 * @module
 */

import type { Log } from "../../lib/daemon/log.ts";
import { TsnetError } from "../../lib/errors.ts";
import type { IptablesVariant } from "../../lib/iptables/iptables.ts";
import type { IptablesTable } from "../../lib/iptables/transaction.ts";
import { findIptables, legacyTables } from "../../lib/iptables/variant.ts";
import type { Leftover } from "../cleanup.ts";
import { hasChain, type ProxyHost, proxyHost, setNames } from "./host.ts";
import {
  CANARY,
  EXTERNAL_SERVICES,
  FORWARD,
  isAffinitySet,
  MARK_MASQ,
  MARKER,
  NODE_PORTS,
  POSTROUTING,
  PROXY_FIREWALL,
  SERVICES,
} from "./names.ts";
import { removeIptablesRules, removeSets } from "./remove.ts";

export interface LeftoversOptions {
  /** `ours`: a real kube-proxy that serves keeps its rules. */
  readonly whose: "ours" | "anybody's";
  readonly log: Log;
}

/** Whether rules are there shows in any of these: what was cut off half-way may have left some of them. */
const SIGNS: readonly (readonly [IptablesTable, string])[] = [
  ...[SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ, MARKER, CANARY].map((chain) => ["nat", chain] as const),
  ...[SERVICES, EXTERNAL_SERVICES, FORWARD, NODE_PORTS, PROXY_FIREWALL].map((chain) => ["filter", chain] as const),
  ["mangle", CANARY],
];

/** Rules before the sets that they name. */
export async function iptablesLeftovers({ whose, log }: LeftoversOptions): Promise<readonly Leftover[]> {
  const { installed } = await findIptables();
  const families = [4, 6] as const;
  const hosts = installed.flatMap((variant) => families.map((family) => proxyHost(family, variant)));
  return [
    ...hosts.map((host) => rules(host, whose, log)),
    ...families.map((family) => sets(proxyHost(family, installed[0] ?? "nft"), log)),
  ];
}

function rules(host: ProxyHost, whose: LeftoversOptions["whose"], log: Log): Leftover {
  const { family, variant } = host;
  return {
    what: `iptables rules of IPv${family}, ${variant} variant`,
    async remove() {
      if (!(await hasSigns(host))) return false;
      if (whose === "ours" && (await isSomebodyElses(host))) {
        log.info("the rules of another kube-proxy stay", { family, variant });
        return false;
      }
      return (await removeIptablesRules(family, variant, log)) > 0;
    },
  };
}

/** It removes our mark when it takes over. */
async function isSomebodyElses(host: ProxyHost): Promise<boolean> {
  return (await hasChain(host, "nat", SERVICES)) && !(await hasChain(host, "nat", MARKER));
}

async function hasSigns(host: ProxyHost): Promise<boolean> {
  const tables = tablesOf(host.family, host.variant);
  for (const [table, chain] of SIGNS) {
    if (tables?.includes(table) !== false && (await hasChain(host, table, chain))) return true;
  }
  return false;
}

/** Legacy tables that nobody has used are not looked into, since that would load them. Undefined: all. */
function tablesOf(family: 4 | 6, variant: IptablesVariant): readonly string[] | undefined {
  return variant === "legacy" ? legacyTables(family) : undefined;
}

function sets(host: ProxyHost, log: Log): Leftover {
  const ours = async () => (await setNames(host)).filter((name) => isAffinitySet(host.family, name));
  return {
    what: `ipsets of IPv${host.family}`,
    async remove() {
      if ((await ours()).length === 0) return false;
      await removeSets(host, new Set(), log);
      const left = await ours();
      if (left.length === 0) return true;
      throw new TsnetError(`rules still name them: ${left.join(", ")}`, { code: "busy", op: "remove ipsets" });
    },
  };
}
