/**
 * A whole chain, bridge (ipMasq), portmap with two ports, firewall, bandwidth and tuning: ours as a list of plugins,
 * ours as one `type: tsnet`, and the reference plugins, one call after the other.
 *
 * @module
 */
import { readSysctl } from "../lib/sys/files.ts";
import { inside } from "../lib/sys/netns.ts";
import type { CniJson } from "./call.ts";
import { chain, oneExec, TUNED } from "./chain-lists.ts";
import { benchMany } from "./chain-many.ts";
import { type CniBench, compare } from "./cni.ts";
import type { Backend, Scenario } from "./scenario.ts";
import type { Row } from "./table.ts";
import type { Member } from "./verify.ts";
import { makeWorld, ok } from "./world.ts";

/** Measures every row; says on stderr how far it is. */
export async function benchChain(bench: CniBench): Promise<readonly Row[]> {
  const world = await makeWorld(bench.disk);
  const rows = await compare(world, SCENARIOS, bench);
  return [...rows, ...(await benchMany(bench))];
}

const SCENARIOS: readonly Scenario[] = [
  ...both("iptables"),
  ...both("nftables"),
  {
    name: "60 chains by 16 workers, one exec",
    list: oneExec("iptables"),
    masquerade: "iptables",
    forwards: true,
    more: isShaped,
    crowd: { containers: 60, workers: 16 },
    targets: { add: 0.3, del: 0.3 },
  },
];

function both(backend: Backend): readonly Scenario[] {
  const common = { masquerade: backend, forwards: true, published: true, more: isShaped } as const;
  return [
    { ...common, name: `chain, ${backend}`, list: chain(backend), targets: { add: 0.5, del: 0.4 } },
    { ...common, name: `one exec, ${backend}`, list: oneExec(backend), targets: { add: 0.2, del: 0.2 } },
  ];
}

/** @throws Error if what bandwidth and tuning set is not there. */
async function isShaped({ side, container, netns }: Member, result: CniJson): Promise<void> {
  const veth = /"name":"(veth\w+)"/.exec(JSON.stringify(result))?.[1] ?? "";
  const [down, up] = [await ok("tc", "qdisc", "show", "dev", veth), await ok("tc", "qdisc", "show")];
  if (!/\btbf\b/.test(down) || !/\bingress\b/.test(down))
    throw new Error(`${side.name}: ${veth} is not shaped: ${down}`);
  if (!/\btbf\b.* dev bwp/.test(up)) throw new Error(`${side.name}: no ifb is shaped: ${up}`);
  const found = inside(netns, () => readSysctl(TUNED.key) ?? "absent");
  if (found !== TUNED.value) throw new Error(`${side.name}: ${TUNED.key} in ${container.id} is ${found}`);
}
