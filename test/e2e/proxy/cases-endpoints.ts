/**
 * Which endpoints serve: ready, serving and terminating ones, hints of zones and nodes, none at all.
 *
 * @module
 */
import { expect, test } from "vitest";
import type { Stage } from "./cases.ts";
import { addressOf, type Ep, type Svc, ZONE } from "./manifests.ts";
import { FAMILIES } from "./proxy.ts";
import { inFull, reach } from "./reach.ts";
import { NODE_NAME, PEER_NAME, type Pod } from "./world.ts";

const draining = (pod: Pod): Ep => ({ pod, ready: false, serving: true, terminating: true });
const gone = (pod: Pod): Ep => ({ pod, ready: false, serving: false, terminating: true });
const starting = (pod: Pod): Ep => ({ pod, ready: false, serving: false, terminating: false });
const unsaid = (pod: Pod): Ep => ({ pod, ready: null, serving: null, terminating: null });
const inZone = (pod: Pod, ...zones: string[]): Ep => ({ pod, zones });
const onNode = (pod: Pod, ...nodes: string[]): Ep => ({ pod, nodes });

interface Case {
  readonly endpoints: Svc["endpoints"];
  /** Who answers at the cluster IP, and at the node port; both asked by external. */
  readonly cluster: string;
  /** The same where both policies are Local. */
  readonly local: string;
}

const STATES: Readonly<Record<string, Case>> = {
  "what says nothing is ready": { endpoints: [unsaid("local1")], cluster: "local1", local: "local1" },
  "what is not ready gets nothing": {
    endpoints: ["local1", starting("local2"), "remote1", starting("remote2")],
    cluster: "local1,remote1",
    local: "local1",
  },
  "none ready yet": { endpoints: [starting("local1"), starting("remote1")], cluster: "refused", local: "refused" },
  "who drains gets nothing while others are ready": {
    endpoints: ["local1", draining("local2"), draining("remote1")],
    cluster: "local1",
    local: "local1",
  },
  "all drain": {
    endpoints: [draining("local1"), draining("remote1"), gone("remote2")],
    cluster: "local1,remote1",
    local: "local1",
  },
  "the last local one drains, others are ready": {
    endpoints: [draining("local1"), "remote1"],
    cluster: "remote1",
    local: "local1",
  },
  "one local one drains, another is ready": {
    endpoints: [draining("local1"), "local2", "remote1"],
    cluster: "local2,remote1",
    local: "local2",
  },
  "the only local one is gone": { endpoints: [gone("local1"), "remote1"], cluster: "remote1", local: "dropped" },
  "only others drain": { endpoints: [draining("remote1")], cluster: "remote1", local: "dropped" },
  "all gone": { endpoints: [gone("local1"), gone("remote1")], cluster: "refused", local: "refused" },
};

const HINTS: Readonly<Record<string, Case>> = {
  "hints of our zone": {
    endpoints: [inZone("local1", "away"), inZone("remote1", ZONE), inZone("remote2", "away", ZONE)],
    cluster: "remote1,remote2",
    local: "local1",
  },
  "one has no hint": {
    endpoints: [inZone("local1", "away"), "local2", inZone("remote1", ZONE)],
    cluster: "local1,local2,remote1",
    local: "here",
  },
  "no hint is for our zone": {
    endpoints: [inZone("local1", "away"), inZone("remote1", "away")],
    cluster: "local1,remote1",
    local: "local1",
  },
  "hints of our node": {
    endpoints: [onNode("local1", NODE_NAME), onNode("local2", PEER_NAME), onNode("remote1", PEER_NAME)],
    cluster: "local1",
    local: "here",
  },
  "hints of other nodes": {
    endpoints: [onNode("local1", PEER_NAME), onNode("remote1", PEER_NAME)],
    cluster: "local1,remote1",
    local: "local1",
  },
  "one that is not ready has no hint": {
    endpoints: [inZone("local1", "away"), inZone("remote1", ZONE), starting("local2")],
    cluster: "remote1",
    local: "local1",
  },
};

export function endpoints(stage: () => Stage): void {
  test.each(FAMILIES)("ready, serving and terminating endpoints (row 16), IPv%i", (family) =>
    run(stage(), STATES, family),
  );
  test.each(FAMILIES)("hints of zones and nodes, IPv%i", (family) => run(stage(), HINTS, family));
}

async function run({ world, proxy }: Stage, cases: Readonly<Record<string, Case>>, family: 4 | 6): Promise<void> {
  const services = Object.values(cases).flatMap(({ endpoints: eps }, at): Svc[] => {
    const [cluster, local] = [2 * at + 1, 2 * at + 2];
    return [
      { name: `cluster-${at}`, n: cluster, ports: [{ nodePort: 30000 + cluster }], endpoints: eps },
      {
        name: `local-${at}`,
        n: local,
        ports: [{ nodePort: 30000 + local }],
        internal: "Local",
        external: "Local",
        endpoints: eps,
      },
    ];
  });
  await proxy.bring(services);
  const wanted = Object.entries(cases).flatMap(([name, { cluster, local }], at) =>
    (["clusterIP", "nodePort"] as const).flatMap((kind) => [
      { label: `${name}, Cluster, ${kind}`, n: 2 * at + 1, kind, expected: answeredAs(cluster, "node") },
      // A cluster IP is asked by somebody beyond: by way of the node.
      {
        label: `${name}, Local, ${kind}`,
        n: 2 * at + 2,
        kind,
        expected: answeredAs(local, kind === "nodePort" ? "itself" : "node"),
      },
    ]),
  );
  const seen = wanted.map(async ({ label, n, kind, expected }) => {
    const question = { address: addressOf({ n }, kind, family), port: kind === "nodePort" ? 30000 + n : 80 };
    return [label, await reach(world, "external", { protocol: "tcp", ...question }, expected)] as const;
  });
  expect(Object.fromEntries(await Promise.all(seen))).toEqual(
    Object.fromEntries(wanted.map(({ label, expected }) => [label, inFull(expected)])),
  );
}

function answeredAs(who: string, source: string): string {
  return who === "refused" || who === "dropped" ? who : `${who} as ${source}`;
}
