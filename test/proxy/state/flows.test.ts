import { describe, expect, it } from "vitest";
import { World } from "./world.ts";

describe("TCP flows", () => {
  const frontends = [{ address: "10.96.0.10", port: 80 }];

  it("are nobody's business unless that is asked for", () => {
    const world = new World().service("web", "10.96.0.10").slice("web-1", "web", [{ ip: "10.244.1.2" }]);
    world.state.take();
    world.slice("web-1", "web", []);
    expect(world.state.take().tcp.get(4)).toEqual([]);
  });

  it("end with an endpoint that is gone, not with one that is not ready (row 4)", () => {
    const world = new World({ flushTcp: true }).service("web", "10.96.0.10");
    world.slice("web-1", "web", [{ ip: "10.244.1.2" }, { ip: "10.244.1.3" }]);
    world.state.take();
    world.slice("web-1", "web", [
      { ip: "10.244.1.2" },
      { ip: "10.244.1.3", ready: false, serving: false, terminating: true },
    ]);
    expect(world.state.take().tcp.get(4)).toEqual([]);
    world.slice("web-1", "web", [{ ip: "10.244.1.2" }]);
    const serving = [{ address: "10.244.1.2", port: 8080 }];
    expect(world.state.take().tcp.get(4)).toEqual([{ frontends, serving }]);
  });

  it("go on when their service is taken away", () => {
    const world = new World({ flushTcp: true }).service("web", "10.96.0.10");
    world.slice("web-1", "web", [{ ip: "10.244.1.2" }]);
    world.state.take();
    world.state.delete("Service", "shop/web");
    expect(world.state.take().tcp.get(4)).toEqual([]);
  });
});
