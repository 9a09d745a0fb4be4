/** State that somebody removed or damaged under running containers: what is said, and how it goes on. */
import { describe, expect, test } from "vitest";
import { type Host, TSNET } from "./host.ts";
import { ask, serve } from "./packets.ts";
import { Project } from "./standalone.ts";
import { BEYOND, HOST, world } from "./world.ts";

const file = (backend: string) => `
name: p
networks: { front: { subnet: 10.88.1.0/24, ipv6: "fd88:1::/64", options: { backend: ${backend} } } }
containers:
  web: { networks: { front: { address: [10.88.1.20, "fd88:1::20"] } }, ports: ["8080:80"], command: [sleep, infinity] }
  db: { networks: [front], command: [sleep, infinity] }
`;

/** Both run, once, and are reached. */
async function expectUp(host: Host, project: Project): Promise<void> {
  expect((await project.ps()).map(({ name, status }) => [name, status])).toEqual([
    ["db", "running"],
    ["web", "running"],
  ]);
  expect(await host.sh("pgrep --runstates R,S,D,T -c -x sleep")).toBe("2\n");
  await serve(host, "p.web", 80, "web");
  expect(await ask(host, "beyond", "tcp", HOST[4], 8080)).toBe(`web ${BEYOND[4]}`);
  expect(await ask(host, "beyond", "tcp", HOST[6], 8080)).toBe(`web ${BEYOND[6]}`);
}

test("a helper that was stopped while /run/tsnet was removed goes once it runs, and leaves the new one all that is its", async () => {
  await using host = await world();
  const before = await host.snapshot();
  const project = await Project.create(host, "p", file("iptables"));
  await project.raise();
  const former = (await host.sh("pgrep -x tsnet-helper")).trim();
  await host.sh(`kill -STOP ${former}; rm -rf /run/tsnet`);
  expect((await project.up()).stderr).toContain("host port 0.0.0.0:8080/tcp of container web cannot be held");
  await host.sh(`kill -CONT ${former}`);
  await expect.poll(() => host.sh("pgrep -x tsnet-helper"), { timeout: 3000 }).not.toContain(former);
  await project.raise();
  expect(await host.sh("pgrep -x -c tsnet-helper")).toBe("1\n");
  await expectUp(host, project);
  await project.down();
  await expect.poll(() => host.snapshot(), { timeout: 3000 }).toBe(before);
});

describe.each(["iptables", "nftables"])("where a network is by %s", (backend) => {
  test("and all of /run/tsnet is removed, up begins anew and down leaves nothing", async () => {
    await using host = await world();
    const before = await host.snapshot();
    const project = await Project.create(host, "p", file(backend));
    await project.raise();
    await host.sh("rm -rf /run/tsnet");
    const { exitCode, stderr } = await project.up();
    expect({ exitCode, stderr: stderr.replace("p.web, p.db", "p.db, p.web") }).toEqual({
      exitCode: 0,
      stderr:
        "tsnet: warning: /run/tsnet does not tell of p.db, p.web or its networks any more: what is left of it is removed\n",
    });
    await expectUp(host, project);
    await host.sh("rm -rf /run/tsnet");
    await project.down();
    await expect.poll(() => host.snapshot(), { timeout: 3000 }).toBe(before);
    expect(await host.sh("pgrep --runstates R,S,D,T -c -x sleep || true")).toBe("0\n");
  });

  test.each([
    ["a container's record", "containers/db/state.json", "rm -r /run/tsnet/containers/db forgets container db"],
    ["a network's record", "networks/p.front.json", "rm -r /run/tsnet/networks/p.front.json forgets network p.front"],
  ])("and %s is damaged, it says so and what to do, which helps", async (_, path, way) => {
    await using host = await world();
    const before = await host.snapshot();
    const project = await Project.create(host, "p", file(backend));
    await project.raise();
    await host.sh(`echo garbage >/run/tsnet/${path}`);
    const message = `tsnet: /run/tsnet/${path}: JSON Parse error: Unexpected identifier "garbage": ${way}, and tsnet up makes it anew\n`;
    expect(await project.up()).toEqual({ exitCode: 1, stdout: "", stderr: message });
    expect((await host.run([TSNET, "down", "--project", "p"])).stderr).toBe(message);
    await host.sh(way.replace(/ forgets.*/, ""));
    await project.raise();
    await expectUp(host, project);
    await project.down();
    await expect.poll(() => host.snapshot(), { timeout: 3000 }).toBe(before);
  });
});
