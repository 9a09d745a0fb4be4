/**
 * What packets do through `tsnet proxy`, the same for every back end: run for one mode by a test file of its own.
 *
 * @module
 */
import { afterAll, beforeAll, describe } from "vitest";
import { balance } from "./cases-balance.ts";
import { changes } from "./cases-changes.ts";
import { endpoints } from "./cases-endpoints.ts";
import { floods } from "./cases-flood.ts";
import { matrix } from "./cases-matrix.ts";
import { nodes } from "./cases-node.ts";
import { options } from "./cases-options.ts";
import { datagrams } from "./cases-udp.ts";
import { type Mode, NodeProxy } from "./proxy.ts";
import { type ProxyWorld, proxyWorld, type World } from "./world.ts";

/** What tells a proxy of services and waits until it has brought them, whichever way they get there. */
export type Teller = Pick<NodeProxy, "bring" | "change" | "remove">;

/** What every case works with; there once the tests run. */
export interface Stage {
  readonly mode: Mode;
  readonly world: World;
  readonly proxy: Teller;
}

export interface Variant {
  readonly mode: Mode;
  /** Done to the host before the proxy starts. */
  readonly prepare?: (world: ProxyWorld) => Promise<void>;
}

/** All cases through a proxy of this mode. */
export function packetCases({ mode, prepare }: Variant): void {
  let world: ProxyWorld;
  beforeAll(async () => {
    world = await proxyWorld();
    await prepare?.(world);
  });
  afterAll(() => world.destroy());

  describe("one proxy", () => {
    let proxy: NodeProxy;
    beforeAll(async () => {
      proxy = await NodeProxy.start(world, mode);
    });
    afterAll(() => proxy.stop());
    oneProxy(() => ({ mode, world, proxy }));
  });

  describe("a proxy told otherwise", () => options(mode, () => world));
}

/** All cases that leave the proxy as it is. */
export function oneProxy(stage: () => Stage): void {
  matrix(stage);
  endpoints(stage);
  changes(stage);
  datagrams(stage);
  balance(stage);
  floods(stage);
  nodes(stage);
}
