/**
 * `tsnet proxy` as whoever starts it meets it: the name that it is called by, its flags and files, and the tasks that
 * end before anything is watched.
 */
import { link, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { pluginNames } from "../../../plugins/names.ts";
import { Host, PLUGINS, PROJECT, TSNET } from "../host.ts";

const KUBE_PROXY = `${PROJECT}/dist/kube-proxy`;
const HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

let host: Host;
let folder: string;

beforeAll(async () => {
  host = await Host.create();
  await mkdir(`${PROJECT}/.cache`, { recursive: true });
  folder = await mkdtemp(`${PROJECT}/.cache/proxy-command-`);
});

afterAll(async () => {
  await host.destroy();
  await rm(folder, { recursive: true, force: true });
});

/** Without the time that each line begins with. */
const lines = (log: string) => log.replaceAll(/^\d{4}-\S+ /gm, "");
const proxy = async (...args: readonly string[]) => {
  const output = await host.run([KUBE_PROXY, ...args]);
  return { ...output, stderr: lines(output.stderr) };
};

describe("the name kube-proxy", () => {
  test("is a hard link beside dist/tsnet, and none among the plugins", async () => {
    expect((await stat(KUBE_PROXY)).ino).toBe((await stat(TSNET)).ino);
    expect((await readdir(PLUGINS)).sort()).toEqual([...pluginNames].sort());
  });

  test("is tsnet proxy, by links of both kinds", async () => {
    await Promise.all([link(TSNET, `${folder}/kube-proxy`), mkdir(`${folder}/soft`)]);
    await symlink(TSNET, `${folder}/soft/kube-proxy`);
    const { version } = await Bun.file(`${PROJECT}/package.json`).json();

    for (const program of [[`${folder}/kube-proxy`], [`${folder}/soft/kube-proxy`], [TSNET, "proxy"]]) {
      expect(await host.run([...program, "--version"])).toEqual({
        exitCode: 0,
        stdout: `tsnet ${version}\n`,
        stderr: "",
      });
    }
  });

  test("tsnet install puts no kube-proxy among a runtime's plugins", async () => {
    await host.ok([TSNET, "install", "--no-conflist", "--bin-dir", "/opt/cni/bin"]);

    expect((await host.ok(["ls", "/opt/cni/bin"])).trim().split("\n")).toEqual([...pluginNames].sort());
  });
});

test("no other command and no plugin loads a line of the proxy", async () => {
  const bundles = await readdir(`${PROJECT}/dist/.bundle`);
  const holding = await Promise.all(
    bundles.map(async (name) =>
      (await readFile(`${PROJECT}/dist/.bundle/${name}`, "utf8")).includes("kubeproxy.config.k8s.io") ? [name] : [],
    ),
  );

  expect(holding.flat()).toEqual(["proxy.cjs"]);
});

describe("flags", () => {
  test("--help lists kube-proxy's and ours", async () => {
    const { exitCode, stdout } = await proxy("--help");

    expect(exitCode).toBe(0);
    for (const flag of ["--config", "--cluster-cidr", "-v, --v", "--manifests", "--dry-run"])
      expect(stdout).toContain(flag);
  });

  test.each([
    [
      ["--clustr_cidr=10.0.0.0/8"],
      "unknown option '--clustr-cidr': did you mean '--cluster-cidr'? Or see 'tsnet proxy --help'",
    ],
    [["words"], "tsnet proxy takes no arguments, not 1: see 'tsnet proxy --help'"],
    [["--masquerade-all", "true"], "tsnet proxy takes no arguments, not 1: see 'tsnet proxy --help'"],
    [["--config"], "option '--config <text>' argument missing: see 'tsnet proxy --help'"],
  ])("%j is a usage error", async (args, message) => {
    expect(await proxy(...args)).toEqual({ exitCode: 2, stdout: "", stderr: `tsnet: ${message}\n` });
  });

  test("all that is wrong with their values is told at once", async () => {
    expect(await proxy("--conntrack-min=few", "-v", "loud", "--masquerade_all=perhaps")).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: `tsnet: --conntrack-min=few: wanted is a whole number
  --v=loud: wanted is a whole number
  --masquerade-all=perhaps: wanted is true or false
`,
    });
  });

  test("all that is wrong with the file is told at once, and what is unknown in it is named", async () => {
    await host.sh(`printf '%s' '${HEAD}mode: nftable\niptables: { masqueradeBit: 77 }\n' > /run/bad.conf`);

    expect(await proxy("--config=/run/bad.conf")).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `tsnet: /run/bad.conf: mode: "nftable" is not one of iptables, nftables: did you mean nftables?
  /run/bad.conf: iptables.masqueradeBit: 77 is not within 0 to 31
`,
    });
    expect(await proxy("--config=/run/none.conf")).toMatchObject({
      exitCode: 1,
      stderr: "tsnet: no file /run/none.conf, which --config names\n",
    });
  });
});

test("--write-config-to writes a file that --config reads back to the same one", async () => {
  const flags = ["--proxy-mode=nftables", "--cluster-cidr=10.244.0.0/16", "--masquerade-all", "-v=3", "--drop-invalid"];

  expect(await proxy("--write-config-to=/run/first.conf", ...flags)).toEqual({
    exitCode: 0,
    stdout: "",
    stderr: `INFO configuration written file=/run/first.conf
WARN --drop-invalid is not in the file: give it as a flag beside --config
`,
  });
  await proxy("--config=/run/first.conf", "--write-config-to=/run/second.conf");
  const [first, second] = await Promise.all(["first", "second"].map((name) => host.ok(["cat", `/run/${name}.conf`])));
  expect(second).toBe(first);
  expect(first).toContain("\nmode: nftables\n");
  expect(first).toContain("\nclusterCIDR: 10.244.0.0/16\n");
});

describe("--init-only", () => {
  const sysctl = async (name: string) => (await host.ok(["sysctl", "-n", name])).trim();

  test("sets the sysctls and ends; what it may not set it names, and goes on", async () => {
    const { exitCode, stderr } = await proxy(
      "--init-only",
      "--proxy-mode=iptables",
      "--conntrack-min=77",
      "--conntrack-max-per-core=1",
      "--conntrack-tcp-timeout-established=1h",
      "--conntrack-tcp-timeout-close-wait=0",
      "--conntrack-udp-timeout=44s",
    );

    expect(exitCode).toBe(0);
    // The machine's limit is not a namespace's to set.
    expect(stderr).toContain("WARN sysctl net.netfilter.nf_conntrack_max stays as it is: set it on the host");
    expect(stderr).toContain("INFO sysctl set sysctl=net.netfilter.nf_conntrack_tcp_be_liberal value=1 before=0\n");
    expect(await sysctl("net.netfilter.nf_conntrack_tcp_timeout_established")).toBe("3600");
    expect(await sysctl("net.netfilter.nf_conntrack_udp_timeout")).toBe("44");
    expect(await sysctl("net.ipv4.conf.all.route_localnet")).toBe("1");
  });

  test("a mode that cannot work here is an error with the way out", async () => {
    await host.sh("mkdir -p /run/empty");
    const blind = ["mount --bind /run/empty /usr/sbin", `exec ${KUBE_PROXY} --init-only --proxy-mode=nftables`];
    const { exitCode, stderr } = await host.run(["unshare", "--mount", "sh", "-ec", blind.join("; ")]);

    expect(exitCode).toBe(1);
    expect(stderr).toBe("tsnet: cannot program services: cannot start nft: no such program in PATH; install it\n");
  });
});

test("a changed file ends a proxy that runs, with its rules in place; one that cannot be used does not", async () => {
  await using own = await Host.create();
  const write = (keys: string) => own.ok(["tee", "/run/proxy.conf"], { stdin: `${HEAD}${keys}` });
  await own.ok(["mkdir", "/run/manifests"]);
  await write("mode: nftables\n");
  const child = own.spawn([KUBE_PROXY, "--config=/run/proxy.conf", "--manifests=/run/manifests"]);
  let log = "";
  const reading = (async () => {
    for await (const chunk of child.stderr) log += new TextDecoder().decode(chunk);
  })();
  const said = (text: string) => expect.poll(() => log, { timeout: 30_000, interval: 50 }).toContain(text);

  await said("rules in place family=6");
  await write("mode: ipvs\n");
  await said("the configuration has changed and cannot be used: going on with the one before");
  await write("mode: nftables\nclusterCIDR: 10.244.0.0/16\n");
  expect(await child.exited).toBe(1);
  await reading;

  expect(log).toContain("INFO the configuration has changed: ending, to be started anew with it file=/run/proxy.conf");
  expect(await own.ok(["nft", "list", "tables"])).toContain("table ip tsnet-proxy");
});

test("the example's config map is a configuration without a mistake", async () => {
  const text = await readFile(`${PROJECT}/examples/kubernetes/configmap.yaml`, "utf8");
  const map = parse(text);
  await host.ok(["tee", "/run/example.conf"], { stdin: map.data["config.conf"] });

  expect(await proxy("--config=/run/example.conf", "--write-config-to=/run/example-again.conf")).toEqual({
    exitCode: 0,
    stdout: "",
    stderr: "INFO configuration written file=/run/example-again.conf\n",
  });
});
