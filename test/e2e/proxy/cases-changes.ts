/**
 * Services that change: what they become, and whom that disturbs.
 *
 * @module
 */
import { expect, test } from "vitest";
import type { Stage } from "./cases.ts";
import { addressOf, type Kind, type Svc } from "./manifests.ts";
import { type Question, serverOf, tally } from "./prober.ts";
import { FAMILIES } from "./proxy.ts";
import { inFull, reach } from "./reach.ts";
import { type Family, SERVED } from "./world.ts";

/**
 * Each case has addresses of its own: a connection that was tried while nobody served an address is remembered as it
 * went, and whoever tries again from the same port within two minutes goes the same way.
 */
const webAt = (n: number): Svc => ({ name: "web", n, endpoints: ["local1", "remote1"] });

const tcp = (svc: Svc, kind: Kind, family: Family, port = 80): Question => ({
  protocol: "tcp",
  address: addressOf(svc, kind, family),
  port,
});

export function changes(stage: () => Stage): void {
  zero(stage);
  shapes(stage);
  others(stage);
  leaving(stage);
  sctp(stage);
}

function zero(stage: () => Stage): void {
  test.each(FAMILIES)("scaled to zero a service refuses at once, and back it serves again, IPv%i", async (family) => {
    const { world, proxy } = stage();
    const web = webAt(20);
    const ports = [
      { name: "tcp", nodePort: 30020 },
      { name: "udp", protocol: "udp", port: 53, nodePort: 30021 },
    ] as const;
    const svc = { ...web, ports, externalIP: true };
    const check = async (expected: string) => {
      for (const [from, kind] of [
        ["local2", "externalIP"],
        ["node", "clusterIP"],
        ["external", "externalIP"],
      ] as const) {
        const seen = await Promise.all([
          reach(world, from, tcp(svc, kind, family), expected),
          reach(world, from, tcp(svc, "nodePort", family, 30020), expected),
          reach(world, from, { ...tcp(svc, kind, family, 53), protocol: "udp" }, expected),
          reach(world, from, { ...tcp(svc, "nodePort", family, 30021), protocol: "udp" }, expected),
        ]);
        expect([from, ...seen]).toEqual([from, ...seen.map(() => expected)]);
      }
    };
    await proxy.bring([svc]);
    for (let round = 0; round < 2; round++) {
      await check("local1,remote1 as node");
      await proxy.change({ ...svc, endpoints: [] });
      await check("refused");
      await proxy.change(svc);
    }
    await check("local1,remote1 as node");
    await proxy.remove("web");
    expect(await reach(world, "local2", tcp(svc, "clusterIP", family), "dropped")).not.toContain("as");
  });
}

function shapes(stage: () => Stage): void {
  test.each(FAMILIES)(
    "a port that is renamed is served all the time, and its connections live, IPv%i",
    async (family) => {
      const { world, proxy } = stage();
      const web = webAt(22);
      await proxy.bring([{ ...web, ports: [{ name: "http", nodePort: 30020 }] }]);
      await using open = await world.prober.open("local2", tcp(web, "clusterIP", family));
      const asked = [tcp(web, "clusterIP", family), tcp(web, "nodePort", family, 30020)];
      const meanwhile = world.prober.askAll(
        asked.map((question) => ({ netns: "local2", ...question })),
        2000,
        10,
      );
      for (const name of ["web", "www", "http2"]) await proxy.change({ ...web, ports: [{ name, nodePort: 30020 }] });
      expect([...tally(await meanwhile, serverOf).keys()].sort()).toEqual(["local1", "remote1"]);
      expect(await open.say("still here")).toBe("still here");
    },
  );

  test.each(FAMILIES)("ClusterIP, NodePort, LoadBalancer and back, IPv%i", async (family) => {
    const { world, proxy } = stage();
    const web = webAt(23);
    const port = { ...web, ports: [{ nodePort: 30020 }] };
    const serves = async (kinds: readonly Kind[]) => {
      for (const kind of ["clusterIP", "nodePort", "loadBalancer"] as const) {
        const question = tcp(web, kind, family, kind === "nodePort" ? 30020 : 80);
        const expected = kinds.includes(kind) ? inFull("local1,remote1 as node") : "dropped";
        const seen = await reach(world, "external", question, expected);
        // An address that nobody has gets no answer; a port of the node that nobody listens on is refused.
        expect([kind, seen]).toEqual([
          kind,
          kinds.includes(kind) ? expected : kind === "nodePort" ? "refused" : "dropped",
        ]);
      }
    };
    await proxy.bring([web]);
    await serves(["clusterIP"]);
    await proxy.change(port);
    await serves(["clusterIP", "nodePort"]);
    await proxy.change({ ...port, loadBalancer: true });
    await serves(["clusterIP", "nodePort", "loadBalancer"]);
    await proxy.change(web);
    await serves(["clusterIP"]);
  });

  test.each(FAMILIES)("a protocol that is swapped, and a target port that changes, IPv%i", async (family) => {
    const { world, proxy } = stage();
    const web = webAt(24);
    const answers = async (protocol: "tcp" | "udp", expected: string) =>
      reach(world, "local2", { ...tcp(web, "clusterIP", family), protocol }, expected);
    await proxy.bring([web]);
    for (const [is, isNot] of [
      ["udp", "tcp"],
      ["tcp", "udp"],
    ] as const) {
      await proxy.change({ ...web, ports: [{ protocol: is }] });
      expect(await answers(is, "local1,remote1 as itself")).toBe("local1,remote1 as itself");
      expect(await answers(isNot, "dropped")).not.toContain(" as ");
    }
    for (const target of SERVED.tcp) {
      await proxy.change({ ...web, ports: [{ target }] });
      const seen = await world.prober.askOften("local2", tcp(web, "clusterIP", family), 10);
      expect([...tally(seen, (answer) => ("atPort" in answer ? `${answer.atPort}` : answer.outcome))]).toEqual([
        [`${target}`, 10],
      ]);
    }
  });
}

function others(stage: () => Stage): void {
  test.each(FAMILIES)(
    "a service's change never touches another's connections, nor its new ones, IPv%i",
    async (family) => {
      const { world, proxy } = stage();
      const web = webAt(25);
      const steady: Svc = { ...web, name: "steady", n: 21, ports: [{ nodePort: 30022 }], loadBalancer: true };
      await proxy.bring([steady, web]);
      const asked = [
        { netns: "local2", ...tcp(steady, "clusterIP", family) },
        { netns: "external", ...tcp(steady, "loadBalancer", family) },
        { netns: "remote2", ...tcp(steady, "nodePort", family, 30022) },
        { netns: "node", ...tcp(steady, "clusterIP", family) },
      ];
      const open = await Promise.all(asked.map(({ netns, ...question }) => world.prober.open(netns, question)));
      const meanwhile = world.prober.askAll(asked, 2000, 10);
      const shapesOfWeb: readonly Partial<Svc>[] = [
        { endpoints: [] },
        { endpoints: ["local2"] },
        { endpoints: ["local1", "local2", "remote1", "remote2"], ports: [{ nodePort: 30023 }] },
        { endpoints: ["remote2"], affinitySeconds: 100 },
        { endpoints: ["remote1"], externalIP: true, external: "Local" },
      ];
      for (const shape of [...shapesOfWeb, ...shapesOfWeb]) {
        await proxy.change({ ...web, ...shape });
        for (const connection of open) expect(await connection.say("still here")).toBe("still here");
      }
      await proxy.remove("web");
      for (const connection of open) expect(await connection.say("still here")).toBe("still here");
      expect([...tally(await meanwhile, serverOf).keys()].sort()).toEqual(["local1", "remote1"]);
      await Promise.all(open.map((connection) => connection.shut()));
    },
  );
}

function leaving(stage: () => Stage): void {
  test.each(FAMILIES)("an endpoint that leaves keeps its connections and gets no new one, IPv%i", async (family) => {
    const { world, proxy } = stage();
    const web = webAt(26);
    await proxy.bring([web]);
    await using open = await world.prober.open("local2", tcp(web, "clusterIP", family));
    const { server } = { server: "", ...open.answer };
    const other = server === "local1" ? "remote1" : "local1";
    await proxy.change({ ...web, endpoints: [other] });
    expect(await open.say("still here")).toBe("still here");
    const seen = await world.prober.askOften("local2", tcp(web, "clusterIP", family), 100);
    expect([...tally(seen, serverOf)]).toEqual([[other, 100]]);
    await proxy.change({ ...web, endpoints: [] });
    expect(await open.say("still here")).toBe("still here");
  });

  test.each(FAMILIES)("endpoints that are replaced while clients connect cost none of them, IPv%i", async (family) => {
    const { world, proxy } = stage();
    const web = webAt(27);
    const rest = ["local2", "remote2"] as const;
    await proxy.bring([{ ...web, endpoints: ["local1", ...rest] }]);
    const meanwhile = world.prober.askOften("external", tcp(web, "clusterIP", family), 6000);
    for (let round = 0; round < 10; round++) {
      await proxy.change({ ...web, endpoints: round % 2 === 0 ? ["remote1", ...rest] : ["local1", ...rest] });
    }
    expect([...tally(await meanwhile, serverOf).keys()].sort()).toEqual(["local1", "local2", "remote1", "remote2"]);
  });
}

function sctp(stage: () => Stage): void {
  test.each(FAMILIES)("SCTP, by its INIT, IPv%i", async (family) => {
    const { world, proxy } = stage();
    const web = webAt(28);
    const svc: Svc = { ...web, ports: [{ protocol: "sctp", port: 3868, nodePort: 30024 }], externalIP: true };
    const asks = async (from: "local2" | "node" | "external", kind: Kind, expected: string) => {
      const port = kind === "nodePort" ? 30024 : 3868;
      const question: Question = { protocol: "sctp", address: addressOf(svc, kind, family), port };
      expect([from, kind, await reach(world, from, question, expected)]).toEqual([from, kind, expected]);
    };
    await proxy.bring([svc]);
    await asks("local2", "clusterIP", "local1,remote1 as itself");
    await asks("node", "clusterIP", "local1,remote1 as node");
    for (const kind of ["clusterIP", "externalIP", "nodePort"] as const) {
      await asks("external", kind, "local1,remote1 as node");
    }
    await proxy.change({ ...svc, endpoints: ["remote2"] });
    await asks("local2", "clusterIP", "remote2 as itself");
    await proxy.change({ ...svc, endpoints: [] });
    for (const kind of ["clusterIP", "externalIP", "nodePort"] as const) await asks("external", kind, "refused");
  });
}
