import { describe, expect, test } from "vitest";
import { parseCidr } from "../../lib/net/cidr.ts";
import { parseProject } from "../../standalone/file/file.ts";
import { type Plan, planUp } from "../../standalone/plan/plan.ts";
import type { ContainerNow, Situation } from "../../standalone/plan/situation.ts";
import { parseContainerRecord, parseNetworkRecord } from "../../standalone/state/records.ts";

const EMPTY: Situation = {
  networks: [],
  containers: [],
  netnsNames: [],
  bootId: "boot",
  facts: { taken: [], links: new Map(), routedLinks: [], listeners: [], ownerOf: () => undefined, mtu: undefined },
};

const project = (text: string, name = "hello") => parseProject(`name: ${name}\n${text}`, "/srv/x/tsnet.yaml");

const TWO = `
networks: { front: { subnet: 10.1.0.0/24 } }
containers:
  web: { networks: [front], ports: ["8080:80"], command: [serve] }
  side: { network: container:web, command: [watch] }
  shell: { networks: { front: { address: 10.1.0.9 } }, command: [sleep] }
`;

/** How things stand after a plan was carried out. */
function done(plan: Plan, more: Partial<Situation> = {}): Situation {
  const repaired = plan.repair.map(({ record }) => record);
  const changed = plan.change.map(({ to }) => to);
  const containers = [...plan.keep, ...repaired, ...changed, ...plan.addContainers].map(
    (record): ContainerNow => ({ record: { ...record, phase: "running" }, alive: true }),
  );
  return {
    ...EMPTY,
    networks: plan.addNetworks,
    containers,
    netnsNames: containers.map(({ record }) => record.id),
    ...more,
  };
}

/** The same after the plugins gave every interface an address. */
const addressed = (now: Situation): Situation => ({
  ...now,
  containers: now.containers.map(({ record, ...rest }, at) => ({
    ...rest,
    record: {
      ...record,
      attachments: record.attachments.map((one) => ({ ...one, addresses: [`10.1.0.${100 + at}/24`] })),
    },
  })),
});

const names = (records: readonly { readonly name: string }[]) => records.map(({ name }) => name);
/** What a plan does, by names. */
const steps = (plan: Plan) => ({
  remove: names(plan.removeContainers),
  removeNetworks: names(plan.removeNetworks),
  addNetworks: names(plan.addNetworks),
  repair: names(plan.repair.map(({ record }) => record)),
  change: plan.change.map(({ to, what }) => [to.name, ...what].join(" ")),
  add: names(plan.addContainers),
  keep: names(plan.keep),
});
const NOTHING = { remove: [], removeNetworks: [], addNetworks: [], repair: [], change: [], add: [], keep: [] };

describe("a plan", () => {
  const first = planUp(project(TWO), EMPTY);

  test("makes everything where nothing is, guests of a namespace last", () => {
    expect(steps(first)).toEqual({ ...NOTHING, addNetworks: ["front"], add: ["web", "shell", "side"] });
  });

  test("names what it makes after the project, and says how the plugins are called", () => {
    const [web, shell, side] = first.addContainers;
    expect(first.addNetworks[0]).toEqual({
      id: "hello.front",
      project: "hello",
      name: "front",
      bridge: "hello-front",
      ownsBridge: true,
      subnets: ["10.1.0.0/24"],
      gateways: ["10.1.0.1"],
      masquerade: true,
      options: {},
      fingerprint: expect.any(String),
    });
    expect(web).toMatchObject({
      id: "hello.web",
      netns: "/run/netns/hello.web",
      network: "bridge",
      phase: "making",
      bootId: "boot",
    });
    expect(web?.attachments[0]?.capabilityArgs).toEqual({
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
    });
    expect(shell?.attachments[0]?.capabilityArgs).toEqual({ ips: ["10.1.0.9"] });
    expect(side).toMatchObject({ netns: "/run/netns/hello.web", joins: "web", attachments: [] });
    expect(JSON.parse(web?.attachments[0]?.list ?? "")).toEqual({
      cniVersion: "1.0.0",
      cniVersions: ["1.0.0", "1.1.0"],
      name: "hello.front",
      disableGC: true,
      plugins: [
        {
          type: "bridge",
          bridge: "hello-front",
          isGateway: true,
          isDefaultGateway: true,
          ipMasq: true,
          hairpinMode: true,
          capabilities: { ips: true, mac: true },
          ipam: {
            type: "host-local",
            dataDir: "/run/tsnet/ipam",
            ranges: [[{ subnet: "10.1.0.0/24", gateway: "10.1.0.1" }]],
          },
        },
        { type: "portmap", capabilities: { portMappings: true } },
      ],
    });
  });

  test("does nothing where all is as the file says, also what it chose itself", () => {
    expect(steps(planUp(project(TWO), done(first)))).toEqual({ ...NOTHING, keep: ["web", "shell", "side"] });
    const chosen = project("networks: { net: { ipv6: true } }\ncontainers:\n  c: { networks: [net], command: [x] }");
    const plan = planUp(chosen, EMPTY);
    const elsewhere = {
      ...EMPTY.facts,
      taken: [{ cidr: parseCidr("172.17.0.0/16"), what: "route", yields: false }],
      mtu: 1280,
    };
    expect(steps(planUp(chosen, done(plan, { facts: elsewhere })))).toEqual({ ...NOTHING, keep: ["c"] });
  });

  test("starts anew what ended, and whoever lives in its namespace", () => {
    const now = done(first);
    const containers = now.containers.map((one) => (one.record.name === "web" ? { ...one, alive: false } : one));
    expect(steps(planUp(project(TWO), { ...now, containers }))).toEqual({
      ...NOTHING,
      remove: ["web", "side"],
      add: ["web", "side"],
      keep: ["shell"],
    });
  });

  test("makes anew what was cut off while it was made", () => {
    const now = done(first);
    const containers = now.containers.map((one) => ({ ...one, record: { ...one.record, phase: "making" as const } }));
    expect(steps(planUp(project(TWO), { ...now, containers }))).toMatchObject({
      remove: ["web", "shell", "side"],
      add: ["web", "shell", "side"],
    });
  });

  test("repairs the network of what runs, and does not restart it", () => {
    const now = done(first);
    const containers = now.containers.map((one) => (one.record.name === "web" ? { ...one, damage: "no rule" } : one));
    expect(steps(planUp(project(TWO), { ...now, containers }))).toEqual({
      ...NOTHING,
      repair: ["web"],
      keep: ["shell", "side"],
    });
  });

  test("containers row 26: removes what left the file", () => {
    const less = project("containers:\n  shell: { network: none, command: [sleep] }\n");
    expect(steps(planUp(less, done(first)))).toEqual({
      ...NOTHING,
      remove: ["web", "shell", "side"],
      removeNetworks: ["front"],
      add: ["shell"],
    });
  });

  test("moves containers with their network, and they run on", () => {
    const moved = project(TWO.replaceAll("10.1.0.", "10.2.0."));
    expect(steps(planUp(moved, done(first)))).toEqual({
      ...NOTHING,
      removeNetworks: ["front"],
      addNetworks: ["front"],
      change: ["web joins anew front", "shell joins anew front"],
      keep: ["side"],
    });
  });

  test.each([
    ["a port more", ['"8080:80"', '"8080:80", "53:53/udp"'], "web publishes 53->53/udp"],
    ["another port", ['"8080:80"', '"8081:80"'], "web publishes 8081->80/tcp no longer publishes 8080->80/tcp"],
    ["no port", [', ports: ["8080:80"]', ""], "web no longer publishes 8080->80/tcp"],
    ["an alias", ["[front], ports", "{ front: { aliases: [www] } }, ports"], "web is called www on front"],
    ["another address", ["10.1.0.9", "10.1.0.8"], "shell joins anew front"],
    ["another network", ["{ front: { address: 10.1.0.9 } }", "[back]"], "shell leaves front joins back"],
    [
      "one network more",
      ["{ front: { address: 10.1.0.9 } }", "{ front: { address: 10.1.0.9 }, back: }"],
      "shell joins back",
    ],
  ])("changes a container that runs: %s", (_, [was = "", is = ""], what) => {
    const edited = project(TWO.replace("} }", "}, back: {} }").replace(was, is));
    const then = done(planUp(project(TWO.replace("} }", "}, back: {} }")), EMPTY));
    const plan = steps(planUp(edited, addressed(then)));
    expect({ ...plan, keep: [], addNetworks: [] }).toEqual({ ...NOTHING, change: [what] });
  });

  test("changes no more than what differs: the other interface of a container stays as it is", () => {
    const both = TWO.replace("} }", "}, back: {} }").replace("[front], ports", "[back, front], ports");
    const then = addressed(done(planUp(project(both), EMPTY)));
    const [change] = planUp(project(both.replace("8080", "8081")), then).change;
    expect(change?.leave).toEqual([]);
    expect(change?.join).toEqual([]);
    expect(change?.republish?.network).toBe("hello.back");
  });

  test.each([
    ["command", ["[sleep]", "[wake]"], "its command has changed"],
    [
      "environment and hostname",
      ["command: [sleep]", "command: [sleep], environment: { A: 1 }, hostname: x"],
      "its environment and hostname have changed",
    ],
    [
      "mode",
      ["networks: { front: { address: 10.1.0.9 } }", "network: none"],
      "its network is none now, and was bridge",
    ],
  ])("makes a container anew and says why: another %s", (_, [was = "", is = ""], why) => {
    const plan = planUp(project(TWO.replace(was, is)), addressed(done(first)));
    expect(names(plan.addContainers)).toEqual(["shell"]);
    expect([...plan.reasons]).toEqual([["shell", why]]);
  });

  test("makes a guest anew with the container whose network it is on", () => {
    const plan = planUp(project(TWO.replace("[serve]", "[other]")), addressed(done(first)));
    expect([...plan.reasons]).toEqual([
      ["web", "its command has changed"],
      ["side", "web, whose network it is on, is made anew"],
    ]);
  });

  test("leaves other projects alone", () => {
    const others = done(planUp(project("containers:\n  theirs: { command: [x] }\n", "other"), EMPTY));
    expect(steps(planUp(project(TWO), others))).toMatchObject({ remove: [], removeNetworks: [] });
  });

  test("gives each chosen subnet and bridge once", () => {
    const many = project(
      "networks: { a: , b: , long-name-of-a-network: }\ncontainers:\n  c: { networks: [a, b, long-name-of-a-network], command: [x] }\n",
    );
    const { addNetworks } = planUp(many, EMPTY);
    expect(addNetworks.map(({ subnets }) => subnets[0])).toEqual(["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16"]);
    expect(addNetworks.map(({ bridge }) => bridge)).toEqual([
      "hello-a",
      "hello-b",
      expect.stringMatching(/^tsnet-[0-9a-f]{9}$/),
    ]);
  });

  test("puts the default route and the ports on a container's first network", () => {
    const two = project(
      "networks: { a: , b: }\ncontainers:\n  c: { networks: [a, b], ports: ['1:1'], command: [x] }\n",
    );
    const attachments = planUp(two, EMPTY).addContainers[0]?.attachments ?? [];
    expect(attachments.map(({ ifname }) => ifname)).toEqual(["eth0", "eth1"]);
    expect(attachments.map(({ list }) => JSON.parse(list).plugins[0].isDefaultGateway)).toEqual([true, false]);
    expect(attachments.map(({ capabilityArgs }) => Object.keys(capabilityArgs))).toEqual([["portMappings"], []]);
  });

  test("makes no network that nobody is on", () => {
    expect(
      planUp(project("networks: { idle: }\ncontainers:\n  c: { network: none, command: [x] }\n"), EMPTY).addNetworks,
    ).toEqual([]);
  });

  test("takes a bridge that is there as it is, and gives it back", () => {
    const text = "networks: { n: { bridge: br7 } }\ncontainers:\n  c: { networks: [n], command: [x] }\n";
    const there = { ...EMPTY, facts: { ...EMPTY.facts, links: new Map([["br7", "bridge"]]) } };
    expect(planUp(project(text), there).addNetworks[0]).toMatchObject({ bridge: "br7", ownsBridge: false });
    expect(planUp(project(text), EMPTY).addNetworks[0]).toMatchObject({ bridge: "br7", ownsBridge: true });
  });

  test("is kept on disk as it is", () => {
    const [network] = first.addNetworks;
    expect(parseNetworkRecord(JSON.parse(JSON.stringify(network)), "x")).toEqual(network);
    for (const container of first.addContainers) {
      expect(parseContainerRecord(JSON.parse(JSON.stringify(container)), "x")).toEqual(container);
    }
    expect(() => parseContainerRecord({ ...first.addContainers[0], ports: [{ hostPort: "x" }] }, "state.json")).toThrow(
      'state.json.ports[0].hostPort: found "x", wanted a number',
    );
  });
});

describe("a plan stops at", () => {
  const listening = {
    ...EMPTY,
    facts: {
      ...EMPTY.facts,
      listeners: [
        { protocol: "tcp" as const, address: { family: 4 as const, value: 0x7f000001n }, port: 8080, inode: "7" },
      ],
      ownerOf: () => "nginx (pid 12)",
    },
  };

  test("a port that a program listens on, if it is on the same address", () => {
    expect(() => planUp(project(TWO), listening)).toThrow(
      "container web cannot have host port 8080/tcp: nginx (pid 12) listens on 127.0.0.1 there; choose another",
    );
    const elsewhere = project("containers:\n  c: { ports: ['192.0.2.1:8080:80', '8080:80/udp'], command: [x] }\n");
    expect(planUp(elsewhere, listening).addContainers).toHaveLength(1);
  });

  test("a port of its own that runs on is no conflict", () => {
    const now = done(planUp(project(TWO), EMPTY));
    expect(steps(planUp(project(TWO), { ...now, facts: listening.facts }))).toMatchObject({
      keep: ["web", "shell", "side"],
    });
  });

  test("containers row 25: a name or a port that another project has", () => {
    const theirs = done(
      planUp(
        project("containers:\n  web: { command: [x] }\n  api: { ports: ['9000:80'], command: [x] }\n", "other"),
        EMPTY,
      ),
    );
    expect(() => planUp(project(TWO), theirs)).toThrow(/^container web is there already, of project other/);
    expect(() => planUp(project("containers:\n  c: { ports: ['9000:1'], command: [x] }\n"), theirs)).toThrow(
      "container api of project other has it",
    );
  });

  test("an address that a container which stays was given", () => {
    const before = project(
      "networks: { front: { subnet: 10.1.0.0/24 } }\ncontainers:\n  old: { networks: [front], command: [x] }\n",
    );
    const now = done(planUp(before, EMPTY));
    const containers = now.containers.map(({ record, alive }) => ({
      alive,
      record: { ...record, attachments: record.attachments.map((one) => ({ ...one, addresses: ["10.1.0.2/24"] })) },
    }));
    const after = project(
      "networks: { front: { subnet: 10.1.0.0/24 } }\ncontainers:\n  old: { networks: [front], command: [x] }\n  new: { networks: { front: { address: 10.1.0.2 } }, command: [x] }\n",
    );
    expect(() => planUp(after, { ...now, containers })).toThrow(
      "address 10.1.0.2 of container new is old's: choose another, or restart old",
    );
  });

  test("a link that has the name of its bridge, both of them", () => {
    const links = new Map([["hello-front", "veth"]]);
    expect(planUp(project(TWO), { ...EMPTY, facts: { ...EMPTY.facts, links } }).addNetworks[0]?.bridge).toMatch(
      /^tsnet-/,
    );
    const both = new Map([
      ...links,
      [planUp(project(TWO), { ...EMPTY, facts: { ...EMPTY.facts, links } }).addNetworks[0]?.bridge ?? "", undefined],
    ]);
    expect(() => planUp(project(TWO), { ...EMPTY, facts: { ...EMPTY.facts, links: both } })).toThrow(
      /^network front: links hello-front and tsnet-[0-9a-f]+ are there already/,
    );
  });

  test("a network of its own that another project's container is on", () => {
    const mine = done(planUp(project(TWO), EMPTY));
    const guest = planUp(
      project(
        "networks: { n: { external: hello.front } }\ncontainers:\n  guest: { networks: [n], command: [x] }\n",
        "other",
      ),
      mine,
    );
    const now = { ...mine, containers: [...mine.containers, ...done(guest).containers] };
    expect(() => planUp(project("containers: {}\n"), now)).toThrow(
      "network hello.front is used by container other.guest of another project: take that down first",
    );
  });
});
