/**
 * Scaling while new flows come without end: none may slip out with the service's address as its destination.
 *
 * @module
 */
import { expect, test } from "vitest";
import type { Stage } from "./cases.ts";
import { addressOf, type Svc } from "./manifests.ts";
import { FAMILIES } from "./proxy.ts";
import { counting } from "./world.ts";

const hot: Svc = {
  name: "hot",
  n: 50,
  ports: [
    { name: "tcp", port: 80 },
    { name: "udp", protocol: "udp", port: 80 },
  ],
  loadBalancer: true,
  endpoints: ["local1"],
};

const SIZES: readonly Svc["endpoints"][] = [
  ["local1", "local2", "remote1", "remote2"],
  ["local1", "remote1", "remote2"],
  ["remote1"],
  [],
  ["local2", "remote1"],
  ["local1", "local2", "remote1"],
];

const ROUNDS = 6;

// So that the flows of a flood do not fill the node's table.
const FORGET = `
  cd /proc/sys/net/netfilter; echo 2 >nf_conntrack_udp_timeout; echo 2 >nf_conntrack_tcp_timeout_close`;

const REMEMBER = `
  cd /proc/sys/net/netfilter; echo 30 >nf_conntrack_udp_timeout; echo 10 >nf_conntrack_tcp_timeout_close`;

export function floods(stage: () => Stage): void {
  test.each(FAMILIES)("scaling under a flood lets no packet out to a service's address, IPv%i", async (family) => {
    const { world, proxy } = stage();
    const addresses = (["clusterIP", "loadBalancer"] as const).map((kind) => addressOf(hot, kind, family));
    const questions = addresses.flatMap((address) =>
      (["tcp", "udp"] as const).map((protocol) => ({ protocol, address, port: 80 })),
    );
    await proxy.bring([hot]);
    const ip = family === 4 ? "ip" : "ip6";
    await using _ = await world.meanwhile("node", FORGET, REMEMBER);
    // Not what a client says by ICMP of an answer that came too late for it: that is of a flow, which may have ended.
    const theirs = `meta l4proto { tcp, udp } ${ip} daddr { ${addresses} }`;
    await using external = await counting(world, "external", family, `iifname eth0 ${theirs}`);
    await using peer = await counting(world, "peer", family, `iifname up0 ${theirs}`);
    // The node itself asks the cluster IP alone: cases-matrix.ts has the reason.
    const stops = await Promise.all([
      world.prober.flood("local2", questions),
      world.prober.flood("external", questions),
      world.prober.flood("node", questions.slice(0, 2)),
    ]);
    for (let round = 0; round < ROUNDS; round++) {
      for (const endpoints of SIZES) await proxy.change({ ...hot, endpoints });
    }
    const sent = await Promise.all(stops.map((stop) => stop()));
    for (const count of sent) expect(count).toBeGreaterThan(1000);
    const slipped = (await external.packets()) + (await peer.packets());
    expect(slipped, `${await external.seen()}${await peer.seen()}`).toBe(0);
  });
}
