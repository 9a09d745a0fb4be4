/**
 * Peers from a real etcd, with TLS and client certificates.
 *
 * @module
 */
import { afterAll, beforeAll } from "vitest";
import { Host } from "../../e2e/host.ts";
import { sourceCases } from "./cases.ts";
import { type Etcd, startEtcd } from "./etcd.ts";
import { openEtcdWorld } from "./etcdworld.ts";

let host: Host;
let etcd: Etcd;
beforeAll(async () => {
  host = await Host.create();
  etcd = await startEtcd({ host });
});
afterAll(async () => {
  await etcd.stop();
  await host.destroy();
});

sourceCases("etcd", () => openEtcdWorld(etcd));
