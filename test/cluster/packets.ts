/**
 * The packet cases of test/e2e/proxy with the real API server in the place of manifests: run for one mode by a test file
 * of its own.
 *
 * @module
 */
import { afterAll, beforeAll } from "vitest";
import { oneProxy, type Stage } from "../e2e/proxy/cases.ts";
import { ZONE } from "../e2e/proxy/manifests.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { Marker } from "./marker.ts";
import { addWorld, addWorldNode, type Mode, startProxy } from "./proxies.ts";
import { teller } from "./teller.ts";

export function packetsThroughTheApi(mode: Mode): void {
  let cluster: Cluster;
  let stage: Stage;
  beforeAll(async () => {
    cluster = await startCluster();
    await addWorldNode(cluster, ZONE);
    const marker = await Marker.create(cluster);
    const world = await addWorld(cluster, "");
    const proxy = await startProxy(cluster, { program: "tsnet", mode, world });
    await marker.passed([world], [proxy]);
    stage = { mode, world, proxy: teller({ cluster, marker, world, proxy }) };
  });
  afterAll(async () => {
    await stage.world.prober.stop();
    await cluster.stop();
  });

  oneProxy(() => stage);
}
