/**
 * Every kind of address × policy × client, and the address that the server sees.
 *
 * @module
 */
import { expect, test } from "vitest";
import type { Stage } from "./cases.ts";
import { addressOf, type Kind, type Svc } from "./manifests.ts";
import { FAMILIES, type Mode } from "./proxy.ts";
import { inFull, reach } from "./reach.ts";
import { ADDRESSES, type Place } from "./world.ts";

const all = ["local1", "local2", "remote1", "remote2"] as const;
const there = ["remote1", "remote2"] as const;
const both = { internal: "Local", external: "Local" } as const;

const PROTOCOLS = ["tcp", "udp", "sctp"] as const;

const service = (name: string, n: number, more: Partial<Svc>): Svc => ({
  name,
  n,
  ports: PROTOCOLS.map((protocol) => ({ name: protocol, protocol, nodePort: 30000 + n })),
  externalIP: true,
  loadBalancer: true,
  endpoints: all,
  ...more,
});

const SERVICES: readonly Svc[] = [
  service("cluster", 1, {}),
  service("local", 2, both),
  service("elsewhere", 3, { ...both, endpoints: there }),
  service("nobody", 4, { endpoints: [] }),
  service("nobody-local", 5, { ...both, endpoints: [] }),
  service("ranged", 6, { sourceRanges: [`${ADDRESSES.external[4]}/32`, ` ${ADDRESSES.external[6]}/128 `] }),
  service("ranged-local", 7, { external: "Local", sourceRanges: ["203.0.113.0/25", "2001:db8:203::/64"] }),
  service("alone", 8, { endpoints: ["local1"] }),
  service("alone-local", 9, { ...both, endpoints: ["local1"] }),
];

// *: in iptables mode what the node itself sends to an external address that nobody serves meets no rule, as
// kube-proxy's chains are hooked: it goes wherever the node's routes lead, here to somebody silent.
// Pods and the node that ask an external address of a Local service get the Cluster set. Source ranges hold for
// load-balancer addresses alone, there for everybody. `node` in ranged-local asks from 203.0.113.1.
const MATRIX = `
  service      frontend     | local1          | node             | remote1         | external
  cluster      clusterIP    | all as itself   | all as node      | all as node     | all as node
  cluster      externalIP   | all as node     | all as node      | all as node     | all as node
  cluster      loadBalancer | all as node     | all as node      | all as node     | all as node
  cluster      nodePort     | all as node     | all as node      | all as node     | all as node
  local        clusterIP    | here as itself  | here as node     | here as node    | here as node
  local        externalIP   | all as itself   | all as node      | here as itself  | here as itself
  local        loadBalancer | all as itself   | all as node      | here as itself  | here as itself
  local        nodePort     | all as itself   | all as node      | here as itself  | here as itself
  elsewhere    clusterIP    | dropped         | dropped          | dropped         | dropped
  elsewhere    externalIP   | there as itself | there as node    | dropped         | dropped
  elsewhere    loadBalancer | there as itself | there as node    | dropped         | dropped
  elsewhere    nodePort     | there as itself | there as node    | dropped         | dropped
  nobody       clusterIP    | refused         | refused          | refused         | refused
  nobody       externalIP   | refused         | refused*         | refused         | refused
  nobody       loadBalancer | refused         | refused*         | refused         | refused
  nobody       nodePort     | refused         | refused          | refused         | refused
  nobody-local clusterIP    | refused         | refused          | refused         | refused
  nobody-local externalIP   | refused         | refused*         | refused         | refused
  nobody-local loadBalancer | refused         | refused*         | refused         | refused
  nobody-local nodePort     | refused         | refused          | refused         | refused
  ranged       clusterIP    | all as itself   | all as node      | all as node     | all as node
  ranged       externalIP   | all as node     | all as node      | all as node     | all as node
  ranged       loadBalancer | dropped         | dropped          | dropped         | all as node
  ranged       nodePort     | all as node     | all as node      | all as node     | all as node
  ranged-local loadBalancer | dropped         | all as node      | dropped         | here as itself
  ranged-local nodePort     | all as itself   | all as node      | here as itself  | here as itself
  alone        clusterIP    | local1          | local1 as node   | local1 as node  | local1 as node
  alone        externalIP   | local1          | local1 as node   | local1 as node  | local1 as node
  alone        nodePort     | local1          | local1 as node   | local1 as node  | local1 as node
  alone-local  clusterIP    | local1          | local1 as node   | local1 as node  | local1 as node
  alone-local  loadBalancer | local1          | local1 as node   | local1 as itself | local1 as itself
  alone-local  nodePort     | local1          | local1 as node   | local1 as itself | local1 as itself
`;

interface Cell {
  readonly label: string;
  readonly svc: Svc;
  readonly kind: Kind;
  readonly from: Place;
  readonly expected: string;
}

/** A pod that reaches itself is masqueraded, which `local1` alone stands for; nobody else is for that (row 20). */
export function matrix(stage: () => Stage): void {
  const runs = PROTOCOLS.flatMap((protocol) => FAMILIES.map((family) => [protocol, family] as const));
  test.each(runs)(
    "every address, policy and client, hairpin included (row 20): %s, IPv%i",
    async (protocol, family) => {
      const { world, proxy, mode } = stage();
      await proxy.bring(SERVICES);
      const seen = await Promise.all(
        cells(mode).map(async ({ label, svc, kind, from, expected }) => {
          const port = kind === "nodePort" ? 30000 + svc.n : 80;
          const question = { protocol, address: addressOf(svc, kind, family), port };
          return [label, await reach(world, from, question, expected)] as const;
        }),
      );
      expect(Object.fromEntries(seen)).toEqual(
        Object.fromEntries(cells(mode).map(({ label, expected }) => [label, inFull(expected)])),
      );
    },
  );
}

function cells(mode: Mode): readonly Cell[] {
  const [head = "", ...rows] = MATRIX.trim().split("\n");
  const clients = head
    .split("|")
    .slice(1)
    .map((text) => text.trim());
  return rows.flatMap((row) => {
    const [what = "", ...expected] = row.split("|").map((text) => text.trim());
    const [name, frontend] = what.split(/ +/);
    const svc = SERVICES.find((one) => one.name === name);
    const kind = KINDS.find((one) => one === frontend);
    if (svc === undefined || kind === undefined) throw new Error(`the matrix names no service and frontend: ${what}`);
    return clients.flatMap((client, at) => {
      const from = CLIENTS.find((one) => one === client);
      if (from === undefined) throw new Error(`the matrix names no place: ${client}`);
      return [{ label: `${what} from ${from}`, svc, kind, from, expected: forMode(expected[at] ?? "", mode) }];
    });
  });
}

function forMode(expected: string, mode: Mode): string {
  return expected.endsWith("*") ? (mode === "iptables" ? "dropped" : expected.slice(0, -1)) : expected;
}

const KINDS: readonly Kind[] = ["clusterIP", "externalIP", "loadBalancer", "nodePort"];
const CLIENTS: readonly Place[] = ["local1", "node", "remote1", "external"];
