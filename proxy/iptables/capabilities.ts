/**
 * What this kernel and its programs have. Asked by doing: rules are put into a chain that nobody jumps to, in mangle,
 * which is small, and taken out again.
 *
 * @module
 */

import type { Log } from "../../lib/daemon/log.ts";
import { isTsnetError } from "../../lib/errors.ts";
import { IpsetTransaction } from "../../lib/ipset/transaction.ts";
import { hairpin } from "./base.ts";
import type { ProxyHost } from "./host.ts";
import { affinitySet, PROBE } from "./names.ts";
import type { Capabilities } from "./shape.ts";
import { tableText } from "./text.ts";

export async function findCapabilities(host: ProxyHost, log: Log): Promise<Capabilities> {
  const set = affinitySet(host.family, "probe");
  const withSets = await makeSet(host, set);
  const bpf = hairpin(host.family);
  const ipset = [`-m set --match-set ${set} src`, `-j SET --add-set ${set} src --exist --timeout 1`];
  try {
    if (withSets && (await takes(host, [bpf, ...ipset]))) return { bpf: true, ipset: true };
    const found = { bpf: await takes(host, [bpf]), ipset: withSets && (await takes(host, ipset)) };
    warnOf(found, log);
    return found;
  } finally {
    await host.iptables.restore(host.family, tableText("mangle", { remove: [PROBE] }));
    if (withSets) await host.ipset.run(new IpsetTransaction().destroy(set));
  }
}

async function makeSet({ ipset, family }: ProxyHost, name: string): Promise<boolean> {
  try {
    await ipset.run(new IpsetTransaction().create({ name, family }));
    return true;
  } catch (error) {
    if (isTsnetError(error, "not-found", "kernel-lacks", "program")) return false;
    throw error;
  }
}

async function takes(host: ProxyHost, rules: readonly string[]): Promise<boolean> {
  try {
    await host.iptables.restore(host.family, tableText("mangle", { write: new Map([[PROBE, rules]]) }));
    return true;
  } catch (error) {
    // Of iptables-legacy there is no telling why.
    if (isTsnetError(error, "kernel-lacks", "program", "not-found")) return false;
    throw error;
  }
}

function warnOf({ bpf, ipset }: Capabilities, log: Log): void {
  if (!ipset) {
    log.warn(
      "session affinity remembers 100 clients an endpoint and forgets the rest: ipset or the kernel's xt_set is missing, install them",
    );
  }
  if (!bpf) {
    log.warn("every endpoint has a chain of its own, which is slow from some thousand on: the kernel lacks xt_bpf");
  }
}
