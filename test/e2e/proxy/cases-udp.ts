/**
 * UDP from a fixed source port, whose flow in conntrack outlives the endpoint that it was led to.
 *
 * @module
 */
import { expect, test } from "vitest";
import type { Stage } from "./cases.ts";
import { addressOf, type Kind, type Svc } from "./manifests.ts";
import type { Connection } from "./prober.ts";
import { FAMILIES } from "./proxy.ts";
import type { Family, Place } from "./world.ts";

const dns: Svc = {
  name: "dns",
  n: 30,
  ports: [{ protocol: "udp", port: 53, nodePort: 30053 }],
  externalIP: true,
  loadBalancer: true,
  endpoints: ["local1"],
};

const CLIENTS: readonly (readonly [Place, Kind])[] = [
  ["local2", "clusterIP"],
  ["node", "clusterIP"],
  ["external", "clusterIP"],
  ["external", "nodePort"],
  ["external", "externalIP"],
  ["remote2", "loadBalancer"],
  ["node", "nodePort"],
];

/** Everybody who asks, each from one port of his own for as long as he asks. */
async function openAll({ world }: Stage, family: Family): Promise<Clients> {
  const clients = await Promise.all(
    CLIENTS.map(([from, kind], at) =>
      world.prober.open(world.netns(from), {
        protocol: "udp",
        address: addressOf(dns, kind, family),
        port: kind === "nodePort" ? 30053 : 53,
        sourcePort: 5300 + at,
        timeoutMs: 200,
      }),
    ),
  );
  const shut = async () => void (await Promise.all(clients.map((client) => client.shut())));
  return { clients, [Symbol.asyncDispose]: shut };
}

interface Clients extends AsyncDisposable {
  readonly clients: readonly Connection[];
}

/** What all hear when they ask now. */
async function heard(clients: readonly Connection[]): Promise<readonly string[]> {
  const said = await Promise.all(clients.map((client) => client.say("?", 200)));
  return [...new Set(said.map((answer) => answer.split(" ")[0] ?? ""))].sort();
}

const soon = { timeout: 10_000, interval: 20 };

export function datagrams(stage: () => Stage): void {
  test.each(FAMILIES)(
    "UDP follows its endpoints from a fixed port (row 1), to none and back (row 2), IPv%i",
    async (family) => {
      const { proxy } = stage();
      await proxy.bring([dns]);
      await using all = await openAll(stage(), family);
      const { clients } = all;
      await expect.poll(() => heard(clients), soon).toEqual(["local1"]);
      await proxy.change({ ...dns, endpoints: ["remote1"] });
      await expect.poll(() => heard(clients), soon).toEqual(["remote1"]);
      await proxy.change({ ...dns, endpoints: [] });
      await expect.poll(() => heard(clients), soon).toEqual(["refused"]);
      await proxy.change({ ...dns, endpoints: ["local1"] });
      await expect.poll(() => heard(clients), soon).toEqual(["local1"]);
    },
  );

  test.each(FAMILIES)(
    "UDP stays with an endpoint that serves, terminating or beside new ones, IPv%i",
    async (family) => {
      const { proxy } = stage();
      await proxy.bring([dns]);
      await using all = await openAll(stage(), family);
      const { clients } = all;
      await expect.poll(() => heard(clients), soon).toEqual(["local1"]);
      await proxy.change({ ...dns, endpoints: ["local1", "local2", "remote1"] });
      for (let round = 0; round < 10; round++) expect(await heard(clients)).toEqual(["local1"]);
      await proxy.change({
        ...dns,
        endpoints: [{ pod: "local1", ready: false, serving: true, terminating: true }, "remote1"],
      });
      for (let round = 0; round < 10; round++) expect(await heard(clients)).toEqual(["local1"]);
    },
  );

  test.each(FAMILIES)(
    "UDP that was asked before its service was there is answered once it is, IPv%i",
    async (family) => {
      const { proxy } = stage();
      await proxy.bring([]);
      await using all = await openAll(stage(), family);
      const { clients } = all;
      await proxy.change(dns);
      await expect.poll(() => heard(clients), soon).toEqual(["local1"]);
    },
  );
}
