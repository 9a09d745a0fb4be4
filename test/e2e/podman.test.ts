/** podman with its CNI back end, on a network that `tsnet network create` made, and beside it. */
import { existsSync, readdirSync, rmdirSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Host, PLUGINS, TSNET } from "./host.ts";
import { eventually, inside } from "./standalone.ts";
import { BEYOND, world } from "./world.ts";

const ROOT = "/run/root";
// Control groups are the machine's, and conmon leaves its own behind.
const GROUP = `tsnet-podman-${process.pid}`;

// runc, whose limits podman would otherwise raise above the machine's; nothing of podman's outside the test's host.
const CONFIG = `
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "/usr/sbin/runc"
events_logger = "file"
`;

let host: Host;

beforeEach(async () => {
  host = await world();
  await host.sh(`
    mkdir -p /opt/cni/bin /etc/containers ${ROOT}/bin ${ROOT}/etc ${ROOT}/proc ${ROOT}/sys ${ROOT}/dev ${ROOT}/tmp ${ROOT}/www
    cp "$(command -v busybox)" ${ROOT}/bin/busybox
    for applet in sh wget httpd sleep ping; do ln -s busybox ${ROOT}/bin/$applet; done
    echo a page > ${ROOT}/www/index.html
    for plugin in ${PLUGINS}/*; do ln -s $plugin /opt/cni/bin/; done
  `);
  await host.ok(["tee", "/etc/containers/containers.conf"], { stdin: CONFIG });
});
afterEach(async () => {
  await host.destroy();
  for (const controller of readdirSync("/sys/fs/cgroup")) removeGroups(`/sys/fs/cgroup/${controller}/${GROUP}`);
  removeGroups(`/sys/fs/cgroup/${GROUP}`);
});

function removeGroups(path: string): void {
  if (!existsSync(path)) return;
  for (const one of readdirSync(path, { withFileTypes: true }))
    if (one.isDirectory()) removeGroups(`${path}/${one.name}`);
  rmdirSync(path);
}

const podman = (...args: readonly string[]) =>
  host.ok(["podman", "--root", "/run/pod/root", "--runroot", "/run/pod/run", "--storage-driver", "vfs", ...args]);
const run = (network: string, options: readonly string[], ...command: readonly string[]) =>
  podman("run", ...options, "--cgroup-parent", GROUP, "--network", network, "--rootfs", ROOT, ...command);
const network = (...args: readonly string[]) => host.ok([TSNET, "network", ...args]);
const fetch = (address: string) =>
  `for i in 1 2 3 4 5; do wget -qO- http://${address}/ && exit; sleep 0.2; done; exit 1`;

test("containers row 8: podman's containers and tsnet's reach each other, and theirs leave the network as it was", async () => {
  const empty = await host.snapshot();
  await network("create", "--subnet", "10.88.1.0/24", "--conflist", "shared");
  await host.ok([
    TSNET,
    "run",
    "-d",
    "--name",
    "own",
    "--network",
    "shared",
    "--rootfs",
    ROOT,
    "httpd",
    "-f",
    "-h",
    "/www",
  ]);
  await run("local.shared", ["--rm"], "/bin/busybox", "true");
  const before = await host.snapshot();
  expect(await run("local.shared", ["--rm"], "sh", "-c", fetch("10.88.1.2"))).toBe("a page\n");
  host.spawn(["ip", "netns", "exec", "beyond", "busybox", "httpd", "-f", "-h", `${ROOT}/www`]);
  expect(await run("local.shared", ["--rm"], "sh", "-c", fetch(BEYOND[4]))).toBe("a page\n");

  await run("local.shared", ["-d", "--name", "theirs", "--ip", "10.88.1.77"], "httpd", "-f", "-h", "/www");
  expect(await inside(host, "own", "sh", "-c", fetch("10.88.1.77"))).toBe("a page\n");
  expect((await host.run([TSNET, "network", "rm", "shared"])).stderr).toContain("container own is on it");
  await podman("rm", "-f", "-t", "0", "theirs");
  expect(await host.snapshot()).toBe(before);
  expect(await inside(host, "own", "ping", "-c1", "-W2", "10.88.1.1")).toContain("1 packets received");

  await run("local.shared", ["-d", "--name", "late"], "sleep", "1000");
  await host.ok([TSNET, "rm", "-f", "own"]);
  expect((await host.run([TSNET, "network", "rm", "shared"])).stderr).toMatch(
    /^tsnet: network shared cannot be removed: container [0-9a-f]{64} of a runtime has address 10\.88\.1\.\d+ of it: remove that first\n$/,
  );
  await podman("rm", "-f", "-t", "0", "late");
  await network("rm", "shared");
  expect(await host.snapshot()).toBe(empty);
});

test("containers row 21: a podman container that was connected is reached by name, and nothing is left after podman rm", async () => {
  await network("create", "--subnet", "10.88.1.0/24", "front");
  await host.ok([TSNET, "run", "-d", "--name", "web", "--network", "front", "--rootfs", ROOT, "sleep", "1000"]);
  await eventually(async () => (await host.run([TSNET, "exec", "web", "true"])).exitCode !== 125, "web runs");
  const before = await host.snapshot();
  await run("none", ["-d", "--name", "db"], "httpd", "-f", "-h", "/www");
  const pid = (await podman("inspect", "-f", "{{.State.Pid}}", "db")).trim();
  expect(await network("connect", "--pid", pid, "--alias", "database", "front", "db")).toContain(
    "db is on front as eth0: ",
  );
  expect(await inside(host, "web", "sh", "-c", fetch("database"))).toBe("a page\n");
  await podman("rm", "-f", "-t", "0", "db");
  const left = async () => JSON.parse(await host.ok([TSNET, "ps", "-a", "-o", "json"])) as readonly unknown[];
  await eventually(async () => (await left()).length === 1, "it is let go", 3000);
  expect(await host.snapshot()).toBe(before);
});
