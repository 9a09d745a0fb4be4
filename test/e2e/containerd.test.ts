import { readdirSync, rmdirSync } from "node:fs";
import { afterEach, expect, it } from "vitest";
import { renderConflist } from "../../overlay/files/conflist.ts";
import { type Host, PLUGINS, TSNET } from "./host.ts";
import { putEnv } from "./overlay-world.ts";
import { eventually, inside, Project } from "./standalone.ts";
import { bridgeConf, world } from "./world.ts";

const ROOT = "/run/root";
const SOCKET = "/run/ctrd/sock";
// Also the name of the control groups that containerd makes, which no namespace of ours hides.
const NAMESPACE = `tsnet-${process.pid}`;

let host: Host;
afterEach(async () => {
  await host.destroy();
  for (const controller of readdirSync("/sys/fs/cgroup")) removeGroup(`/sys/fs/cgroup/${controller}/${NAMESPACE}`);
  removeGroup(`/sys/fs/cgroup/${NAMESPACE}`);
});

function removeGroup(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // Not every controller has one.
  }
}

const BRIDGE_LIST = JSON.stringify({
  cniVersion: "1.0.0",
  name: "net1",
  plugins: [bridgeConf({ ipMasq: true }), { type: "portmap", capabilities: { portMappings: true } }],
});

async function startContainerd(conflist?: string): Promise<void> {
  await host.sh(`
    mkdir -p /etc/cni/net.d /opt/cni/bin ${ROOT}/bin ${ROOT}/etc ${ROOT}/proc ${ROOT}/sys ${ROOT}/dev ${ROOT}/www
    cp "$(command -v busybox)" ${ROOT}/bin/busybox
    for applet in sh wget httpd sleep; do ln -s busybox ${ROOT}/bin/$applet; done
    for plugin in ${PLUGINS}/*; do ln -s $plugin /opt/cni/bin/; done
  `);
  if (conflist !== undefined) {
    await host.ok(["sh", "-c", "cat > /etc/cni/net.d/10-net1.conflist"], { stdin: conflist });
  }
  await host.ok(["sh", "-c", "cat > /run/containerd.toml"], {
    stdin: `version = 2\nroot = "/run/ctrd/root"\nstate = "/run/ctrd/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "${SOCKET}"\n`,
  });
  host.spawn(["containerd", "--config", "/run/containerd.toml", "--log-level", "error"]);
  await host.sh(`for i in $(seq 200); do [ -S ${SOCKET} ] && exit 0; sleep 0.05; done; exit 1`);
}

const ctr = (...args: string[]) => ["ctr", "--address", SOCKET, "--namespace", NAMESPACE, ...args];
const run = (name: string, ...command: string[]) => ctr("run", "--rm", "--cni", "--rootfs", ROOT, name, ...command);

it("containerd runs containers that fetch from each other, and their removal leaves the host as before", async () => {
  host = await world();
  await startContainerd(BRIDGE_LIST);
  await host.sh(`echo page of this run ${NAMESPACE} > ${ROOT}/www/index.html`);
  await host.ok(run("first", "/bin/busybox", "true"));
  const before = await host.snapshot();

  // Not detached: when its command ends, ctr itself calls DEL, with CNI_NETNS empty.
  const servers = ["web", "peer"].map((name) => host.spawn(run(name, "/bin/httpd", "-f", "-p", "80", "-h", "/www")));
  await host.sh(
    "for i in $(seq 200); do [ $(ls /var/lib/cni/networks/net1 | grep -c '^10') = 2 ] && exit 0; sleep 0.05; done; exit 1",
  );
  const addresses = (await host.sh("ls /var/lib/cni/networks/net1 | grep '^10'")).trim().split("\n");
  const fetch = (address: string) => [
    "/bin/sh",
    "-c",
    `for i in 1 2 3 4 5; do wget -qO- http://${address}/ && exit; sleep 0.2; done; exit 1`,
  ];
  for (const address of addresses) {
    expect(await host.ok(run(`ask-${address.replaceAll(".", "-")}`, ...fetch(address)))).toBe(
      `page of this run ${NAMESPACE}\n`,
    );
    expect(await host.ok(["busybox", "wget", "-qO-", `http://${address}/`])).toBe(`page of this run ${NAMESPACE}\n`);
  }
  for (const name of ["web", "peer"]) await host.ok(ctr("tasks", "kill", "--signal", "SIGKILL", name));
  await Promise.all(servers.map((server) => server.exited));
  expect(await host.snapshot()).toBe(before);
});

it("containerd runs containers on the overlay once the agent has a subnet, and none before", async () => {
  host = await world();
  const places = { subnetFile: "/run/flannel/subnet.env", stateFile: "/run/tsnet/overlay/agent.json" };
  await startContainerd(renderConflist({ path: "", name: "net1", bridge: "cni0" }, places));
  const early = await host.run(run("early", "/bin/busybox", "true"));
  expect(early.exitCode).not.toBe(0);
  expect(early.stderr).toMatch(/this host has no subnet in \/run\/flannel\/subnet\.env yet/);

  await putEnv(host);
  await host.ok(run("first", "/bin/busybox", "true"));
  const before = await host.snapshot();
  await host.sh(`echo page of this run ${NAMESPACE} > ${ROOT}/www/index.html`);
  const server = host.spawn(run("web", "/bin/httpd", "-f", "-p", "80", "-h", "/www"));
  await host.sh(
    "for i in $(seq 200); do ls /var/lib/cni/networks/net1 | grep -q '^10' && exit 0; sleep 0.05; done; exit 1",
  );
  const address = (await host.sh("ls /var/lib/cni/networks/net1 | grep '^10'")).trim();
  expect(address).toMatch(/^10\.244\.1\./);
  const fetch = `for i in 1 2 3 4 5; do wget -qO- http://${address}/ && exit; sleep 0.2; done; exit 1`;
  expect(await host.ok(run("ask", "/bin/sh", "-c", fetch))).toBe(`page of this run ${NAMESPACE}\n`);
  // The agent's files go, and so does the container.
  await host.sh("rm -r /run/flannel");
  await host.ok(ctr("tasks", "kill", "--signal", "SIGKILL", "web"));
  await server.exited;
  expect(await host.snapshot()).toBe(before);
});

it("containerd runs containers on a network of tsnet's, beside tsnet's own, and leaves that as it was", async () => {
  host = await world();
  await startContainerd();
  const empty = await host.snapshot();
  await host.ok([TSNET, "network", "create", "--subnet", "10.88.1.0/24", "--conflist", "shared"]);
  expect(await host.sh("ls /etc/cni/net.d")).toBe("99-tsnet-shared.conflist\n");
  const own = await Project.create(
    host,
    "own",
    `networks: { shared: { external: true } }
containers: { own: { networks: [shared], rootfs: ${ROOT}, command: [httpd, -f, -p, "80", -h, /www] } }
`,
  );
  await host.sh(`mkdir -p ${ROOT}/tmp; echo page of this run ${NAMESPACE} > ${ROOT}/www/index.html`);
  await own.raise();
  await host.ok(run("first", "/bin/busybox", "true"));
  const before = await host.snapshot();

  const server = host.spawn(run("web", "/bin/httpd", "-f", "-p", "80", "-h", "/www"));
  await eventually(
    async () => (await host.sh("ls /run/tsnet/ipam/local.shared | grep -c '^10'")) === "2\n",
    "it has an address",
  );
  const addresses = (await host.sh("ls /run/tsnet/ipam/local.shared | grep '^10'")).trim().split("\n");
  const [address, theirs] = [
    addresses.find((one) => one === "10.88.1.2"),
    addresses.find((one) => one !== "10.88.1.2"),
  ];
  const fetch = (from: string) => `for i in 1 2 3 4 5; do wget -qO- http://${from}/ && exit; sleep 0.2; done; exit 1`;
  expect(await host.ok(run("ask", "/bin/sh", "-c", fetch(address ?? "")))).toBe(`page of this run ${NAMESPACE}\n`);
  expect(await inside(host, "own", "sh", "-c", fetch(theirs ?? ""))).toBe(`page of this run ${NAMESPACE}\n`);
  expect(await host.run([TSNET, "network", "rm", "shared"])).toMatchObject({ exitCode: 1 });

  await host.ok(ctr("tasks", "kill", "--signal", "SIGKILL", "web"));
  await server.exited;
  expect(await host.snapshot()).toBe(before);
  expect(await inside(host, "own", "busybox", "ping", "-c1", "-W2", "10.88.1.1")).toContain("1 packets received");
  await own.down();
  expect(await host.ok([TSNET, "network", "rm", "shared"])).toBe("shared\n");
  expect(await host.sh("ls /etc/cni/net.d")).toBe("");
  expect(await host.snapshot()).toBe(empty);
});
