/**
 * The programs that tsnet runs, what for, and where Debian keeps them.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";

const FOR_TSNET = [
  { program: "ip", package: "iproute2", reason: "makes network namespaces" },
  { program: "nft", package: "nftables", reason: "writes nftables' rules" },
  { program: "iptables-restore", package: "iptables", reason: "writes iptables' rules" },
  { program: "ip6tables-restore", package: "iptables", reason: "writes iptables' rules" },
  { program: "conntrack", package: "conntrack", reason: "ends the connections of a port that is gone" },
  { program: "unshare", package: "util-linux", reason: "starts containers" },
  { program: "nsenter", package: "util-linux", reason: "enters containers" },
  { program: "setpriv", package: "util-linux", reason: "takes capabilities from containers" },
  { program: "mount", package: "mount", reason: "gives containers files of their own" },
  // Debian's plain busybox has no httpd.
  {
    program: "busybox",
    package: "busybox-static",
    reason: "the web server of the examples",
    applets: ["httpd", "wget", "nc"],
  },
];

const FOR_TESTS = [
  { program: "strace", package: "strace", reason: "tests kill a call at each step by it" },
  { program: "ps", package: "procps", reason: "tests look at processes" },
  { program: "ipset", package: "ipset", reason: "the proxy keeps clients with their endpoints by it" },
  { program: "containerd", package: "containerd", reason: "tests run a container on the plugins by it" },
  { program: "ctr", package: "containerd", reason: "tests run a container on the plugins by it" },
  { program: "podman", package: "podman", reason: "tests run a container on a network of tsnet by it" },
  { program: "runc", package: "runc", reason: "containerd and podman start containers by it" },
  // The package has a service, which is not what runs here.
  { program: "etcd", package: "etcd-server", reason: "keeps leases, and what an API server is told", service: "etcd" },
  { program: "etcdctl", package: "etcd-client", reason: "tests have etcd forget old versions by it" },
  // The machine's own packet filter stays as it is.
  { program: "firewalld", package: "firewalld", reason: "the plugin firewall talks to it", service: "firewalld" },
  { program: "dbus-daemon", package: "dbus-daemon", reason: "firewalld is reached by it" },
  { program: "openssl", package: "openssl", reason: "makes certificates for etcd and clusters" },
  { program: "iperf3", package: "iperf3", reason: "tests send by TCP from host to host" },
  // dnsmasq-base has no service, which dnsmasq has.
  { program: "dnsmasq", package: "dnsmasq-base", reason: "leases addresses to the dhcp plugin's containers" },
  { program: "ping", package: "iputils-ping", reason: "tests count what is lost" },
  { program: "curl", package: "curl", reason: "tests ask servers of health and metrics by it" },
  // Go builds the newest of them.
  {
    program: "/usr/lib/cni/bridge",
    package: "containernetworking-plugins",
    reason: "tests compare with the reference plugins",
    instead: "go",
  },
];

const FOR_CLUSTER = [{ program: "go", package: "golang-go", reason: "builds the real Kubernetes, once" }];

/** The programs that are not there, each with the package that has it and why it is needed. */
export function missingPrograms({ tests, cluster }) {
  const wanted = [...FOR_TSNET, ...(tests || cluster ? FOR_TESTS : []), ...(cluster ? FOR_CLUSTER : [])];
  const unique = new Map(wanted.map((each) => [each.program, each]));
  return [...unique.values()].filter((each) => !isThere(each));
}

/** `path` with the directories of system programs in it: after a plain `su` Debian's root is without them. */
export function withSbin(path = "/usr/bin:/bin") {
  const have = path.split(":");
  const lacking = ["/usr/local/sbin", "/usr/sbin", "/sbin"].filter((directory) => !have.includes(directory));
  return [...have, ...lacking].join(":");
}

function isThere({ program, applets = [], instead }) {
  if (instead !== undefined && isInPath(instead)) return true;
  if (!isInPath(program)) return false;
  if (applets.length === 0) return true;
  const has = (spawnSync(program, ["--list"], { encoding: "utf8" }).stdout ?? "").split("\n");
  return applets.every((applet) => has.includes(applet));
}

/** Whether a program is found, by its name or by its path. */
function isInPath(program) {
  if (program.startsWith("/")) return isExecutable(program);
  return process.env.PATH.split(":").some((directory) => isExecutable(`${directory}/${program}`));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
