import { describe, expect, it } from "vitest";
import { type Candidate, type Chosen, chooseEndpoints, type Standing } from "../../proxy/endpoints.ts";

const READY: Standing = { ready: true, serving: true, terminating: false, nodes: "none", zones: undefined };
const UNREADY: Standing = { ...READY, ready: false, serving: false };
const TERMINATING: Standing = { ...READY, ready: false, terminating: true };
const GONE: Standing = { ...TERMINATING, serving: false };

function here(standing: Partial<Standing> = {}, name = "here"): Candidate {
  return { address: name, port: 80, local: true, standing: { ...READY, ...standing } };
}

function there(standing: Partial<Standing> = {}, name = "there"): Candidate {
  return { address: name, port: 80, local: false, standing: { ...READY, ...standing } };
}

function choose(candidates: readonly Candidate[], zone?: string): Record<keyof Chosen, unknown> {
  const { cluster, local, served } = chooseEndpoints(candidates, { cluster: true, local: true }, zone);
  return { cluster: cluster.map(({ address }) => address), local: local.map(({ address }) => address), served };
}

describe("a service's endpoints", () => {
  it("are the ready ones, for policy Local those on this node", () => {
    const all = [here(), there(), here(UNREADY, "a"), there(TERMINATING, "b"), here(TERMINATING, "c")];
    expect(choose(all)).toEqual({ cluster: ["here", "there"], local: ["here"], served: true });
  });

  it("are, where none is ready, those that terminate and still serve (row 16)", () => {
    const all = [here(TERMINATING), there(TERMINATING), here(UNREADY, "a"), there(GONE, "b")];
    expect(choose(all)).toEqual({ cluster: ["here", "there"], local: ["here"], served: true });
  });

  it("fall back for each policy on its own (row 16)", () => {
    expect(choose([here(TERMINATING), there()])).toEqual({ cluster: ["there"], local: ["here"], served: true });
    expect(choose([here(UNREADY), there()])).toEqual({ cluster: ["there"], local: [], served: true });
  });

  it("are none where none serves, though one is there", () => {
    expect(choose([here(UNREADY), there(GONE)])).toEqual({ cluster: [], local: [], served: false });
    expect(choose([])).toEqual({ cluster: [], local: [], served: false });
  });

  it("are ready by word of the slice even if they do not serve", () => {
    expect(choose([there({ serving: false })]).cluster).toEqual(["there"]);
  });

  it("are only looked for where a policy asks, but whether anybody serves is always known", () => {
    const none = { cluster: false, local: true };
    expect(chooseEndpoints([there()], none, undefined)).toEqual({ cluster: [], local: [], served: true });
  });
});

describe("topology hints", () => {
  it("lead to this node if every ready endpoint has one for a node and one is for this", () => {
    const all = [here({ nodes: "here" }), there({ nodes: "elsewhere" }), there(TERMINATING, "a")];
    expect(choose(all).cluster).toEqual(["here"]);
    expect(choose([...all, there({}, "b")]).cluster).toEqual(["here", "there", "b"]);
    expect(choose([there({ nodes: "elsewhere" })]).cluster).toEqual(["there"]);
  });

  it("lead to this zone if every ready endpoint has one for a zone and one is for this", () => {
    const all = [here({ zones: ["z1"] }), there({ zones: ["z2", "z3"] }), there({ ...UNREADY, zones: undefined }, "a")];
    expect(choose(all, "z3").cluster).toEqual(["there"]);
    expect(choose(all, "z4").cluster).toEqual(["here", "there"]);
    expect(choose(all).cluster).toEqual(["here", "there"]);
    expect(choose([...all, there({}, "b")], "z3").cluster).toEqual(["here", "there", "b"]);
  });

  it("for nodes go before those for zones, which count where none is for this node", () => {
    const all = [here({ nodes: "elsewhere", zones: ["z1"] }), there({ nodes: "elsewhere", zones: ["z2"] })];
    expect(choose(all, "z2").cluster).toEqual(["there"]);
    expect(choose([...all, there({ nodes: "here", zones: ["z1"] }, "a")], "z2").cluster).toEqual(["a"]);
  });

  it("do not count for policy Local, nor among terminating endpoints", () => {
    expect(choose([here({ zones: ["z1"] }), there({ zones: ["z2"] })], "z2").local).toEqual(["here"]);
    const terminating = [here({ ...TERMINATING, zones: ["z1"] }), there({ ...TERMINATING, zones: ["z2"] })];
    expect(choose(terminating, "z2").cluster).toEqual(["here", "there"]);
  });
});
