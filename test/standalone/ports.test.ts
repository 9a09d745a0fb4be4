import { describe, expect, test } from "vitest";
import { parseProject } from "../../standalone/file/file.ts";
import { parseListeners } from "../../standalone/host/listeners.ts";
import { planUp } from "../../standalone/plan/plan.ts";
import type { ContainerNow, Situation } from "../../standalone/plan/situation.ts";
import { holdingsOf } from "../../standalone/ports/wanted.ts";
import type { ContainerRecord } from "../../standalone/state/records.ts";

const EMPTY: Situation = {
  networks: [],
  containers: [],
  netnsNames: [],
  bootId: "boot",
  facts: { taken: [], links: new Map(), routedLinks: [], listeners: [], ownerOf: () => undefined, mtu: undefined },
};

const plan = (containers: string, now: Situation = EMPTY) =>
  planUp(parseProject(`name: p\ncontainers:\n${containers}`, "/srv/x/tsnet.yaml"), now);
const container = (name: string, ports: string, more = "x") => `  ${name}: { ports: [${ports}], command: [${more}] }\n`;
const hostPorts = (records: readonly ContainerRecord[]) =>
  records.flatMap(({ ports }) => ports.map(({ hostPort }) => hostPort));

/** The containers as they are once they run. */
function running(records: readonly ContainerRecord[]): Situation {
  const containers = records.map((record): ContainerNow => ({ record: { ...record, phase: "running" }, alive: true }));
  return { ...EMPTY, containers, networks: plan(container("x", "1:1")).addNetworks };
}

/** A program that waits at 0.0.0.0:PORT. */
function listener(port: number): Situation {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const table = `0: 00000000:${hex} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7 1`;
  return { ...EMPTY, facts: { ...EMPTY.facts, listeners: parseListeners(table, "tcp") } };
}

describe("a host port that nobody named", () => {
  const first = plan(container("web", "80, 80/udp, 81")).addContainers;

  test("is of the dynamic ones, the same for TCP and UDP where both are free, and tells that it was chosen", () => {
    const [tcp, udp, other] = hostPorts(first);
    expect(tcp).toBeGreaterThanOrEqual(49152);
    expect(udp).toBe(tcp);
    expect(other).not.toBe(tcp);
    expect(first[0]?.ports[0]).toEqual({ hostPort: tcp, containerPort: 80, protocol: "tcp", chosen: true });
    expect(first[0]?.attachments[0]?.capabilityArgs.portMappings).toContainEqual({
      hostPort: tcp,
      containerPort: 80,
      protocol: "tcp",
    });
  });

  test("is not one that another container has, was promised, or that a program listens on", () => {
    const [tcp = 0] = hostPorts(first);
    expect(hostPorts(plan(container("web", "80"), listener(tcp)).addContainers)).toEqual([tcp + 1]);
    const beside = plan(`${container("web", "80")}${container("api", `${tcp}:80`)}`).addContainers;
    expect(hostPorts(beside)).toEqual([tcp + 1, tcp]);
  });

  test("stays as long as its container does, and is had again by one that is made anew", () => {
    const [tcp = 0] = hostPorts(first);
    const moved = plan(container("web", "80, 80/udp, 81"), listener(tcp)).addContainers;
    expect(hostPorts(moved)[0]).toBe(tcp + 1);
    expect(plan(container("web", "80, 80/udp, 81"), running(moved)).keep).toHaveLength(1);
    const anew = plan(container("web", "80", "other"), running(moved)).addContainers;
    expect(hostPorts(anew)).toEqual([tcp + 1]);
  });

  test("is told from one that somebody named", () => {
    const [tcp = 0] = hostPorts(first);
    expect(plan(container("web", `${tcp}:80, ${tcp}:80/udp, 81`), running(first)).keep).toEqual([]);
  });
});

describe("the sockets that hold host ports", () => {
  const held = (ports: string, addresses?: readonly string[]) => {
    const [record] = plan(container("web", ports)).addContainers;
    if (record === undefined) throw new Error("no container");
    const attachments = record.attachments.map((one) => (addresses === undefined ? one : { ...one, addresses }));
    return [...holdingsOf([{ ...record, attachments }]).values()].map(({ key, relays, target }) => ({
      key,
      ...(relays ? { to: target === undefined ? "nobody" : `${target.address} ${target.port}` } : {}),
    }));
  };

  test("are of both families where the port is on all addresses, and what comes to [::1] is relayed", () => {
    expect(held("8080:80", ["10.1.0.2/24", "fd00::2/64"])).toEqual([
      { key: "tcp 0.0.0.0 8080" },
      { key: "tcp :: 8080", to: "fd00::2 80" },
    ]);
    expect(held("8080:80/udp", ["10.1.0.2/24"])).toEqual([
      { key: "udp 0.0.0.0 8080" },
      { key: "udp :: 8080", to: "10.1.0.2 80" },
    ]);
  });

  test("are on the port's own address where it has one", () => {
    expect(held("127.0.0.1:1:1, 0.0.0.0:2:2, '[2001:db8::1]:3:3', '[::1]:4:4'", ["10.1.0.2/24"])).toEqual([
      { key: "tcp 127.0.0.1 1" },
      { key: "tcp 0.0.0.0 2" },
      { key: "tcp 2001:db8::1 3" },
      { key: "tcp ::1 4", to: "10.1.0.2 4" },
    ]);
  });

  test("are there before the container has an address, and are none for SCTP", () => {
    expect(held("'[::1]:80:80', 9:9/sctp")).toEqual([{ key: "tcp ::1 80", to: "nobody" }]);
  });
});
