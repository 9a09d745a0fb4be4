import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openLog } from "../../../lib/daemon/log.ts";
import { inside, type Netns, openNetns } from "../../../lib/sys/netns.ts";
import { conntrackSysctls, openLocalhost, setConntrack } from "../../../proxy/node/sysctls.ts";
import type { ConntrackSettings } from "../../../proxy/settings.ts";
import { Host } from "../../e2e/host.ts";

const NOTHING: ConntrackSettings = {
  maxPerCore: undefined,
  min: undefined,
  tcpEstablishedTimeout: undefined,
  tcpCloseWaitTimeout: undefined,
  udpTimeout: undefined,
  udpStreamTimeout: undefined,
  tcpBeLiberal: false,
};

describe("conntrack's sysctls", () => {
  test.each([
    [32_768, 131_072, 2, 131_072],
    [32_768, 131_072, 16, 524_288],
    // kube-proxy, too, stops at what a machine of 32 CPUs has.
    [32_768, 131_072, 64, 1_048_576],
    [32_768, 2_000_000, 64, 2_000_000],
    [1000, undefined, 2, 2000],
  ])("%d a CPU and at least %s, on %d CPUs: %d", (maxPerCore, min, cpus, max) => {
    expect(conntrackSysctls({ ...NOTHING, maxPerCore, min }, cpus)).toEqual([
      ["net/netfilter/nf_conntrack_max", String(max)],
    ]);
  });

  test("without a number a CPU the least one counts for nothing either", () => {
    expect(conntrackSysctls({ ...NOTHING, min: 131_072 }, 8)).toEqual([]);
  });

  test("times are in whole seconds", () => {
    const wanted = {
      ...NOTHING,
      tcpEstablishedTimeout: 86_400_000,
      tcpCloseWaitTimeout: 3_600_000,
      udpTimeout: 30_900,
      udpStreamTimeout: 180_000,
      tcpBeLiberal: true,
    };

    expect(conntrackSysctls(wanted, 8)).toEqual([
      ["net/netfilter/nf_conntrack_tcp_timeout_established", "86400"],
      ["net/netfilter/nf_conntrack_tcp_timeout_close_wait", "3600"],
      ["net/netfilter/nf_conntrack_udp_timeout", "30"],
      ["net/netfilter/nf_conntrack_udp_timeout_stream", "180"],
      ["net/netfilter/nf_conntrack_tcp_be_liberal", "1"],
    ]);
  });
});

describe("in a namespace", () => {
  let host: Host;
  let netns: Netns;

  beforeAll(async () => {
    host = await Host.create();
    // Connection tracking, and with it its sysctls, comes with the first rule that needs it.
    await host.sh("iptables -t nat -A POSTROUTING -j ACCEPT; iptables -A FORWARD -m conntrack --ctstate NEW");
    netns = openNetns(`/proc/${host.pid}/ns/net`);
  });

  afterAll(async () => {
    netns.close();
    await host.destroy();
  });

  const logged = (work: (log: ReturnType<typeof openLog>) => void) => {
    const lines: string[] = [];
    const log = openLog({
      format: "text",
      verbosity: 0,
      write: (line) => lines.push(line.replace(/^\S+ /, "").trim()),
    });
    inside(netns, () => work(log));
    return lines;
  };
  const sysctl = (name: string) => host.ok(["cat", `/proc/sys/net/${name}`]);

  test("what holds already is not written, and each change is told", async () => {
    const wanted = { ...NOTHING, udpTimeout: 42_000, tcpBeLiberal: true };
    const before = (await sysctl("netfilter/nf_conntrack_udp_timeout")).trim();

    expect(logged((log) => setConntrack(wanted, log))).toEqual([
      `INFO sysctl set sysctl=net.netfilter.nf_conntrack_udp_timeout value=42 before=${before}`,
      "INFO sysctl set sysctl=net.netfilter.nf_conntrack_tcp_be_liberal value=1 before=0",
    ]);
    expect(await sysctl("netfilter/nf_conntrack_udp_timeout")).toBe("42\n");
    expect(await sysctl("netfilter/nf_conntrack_tcp_be_liberal")).toBe("1\n");
    expect(logged((log) => setConntrack(wanted, log))).toEqual([]);
  });

  // The limit is the whole machine's, so a namespace may only read it.
  test("one that cannot be written is a warning that names it, and the others are written", async () => {
    const max = (await sysctl("netfilter/nf_conntrack_max")).trim();
    const lines = logged((log) => setConntrack({ ...NOTHING, maxPerCore: 1, min: 7, udpTimeout: 43_000 }, log));

    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(
      `WARN sysctl net.netfilter.nf_conntrack_max stays as it is: set it on the host, or let a privileged init container do --init-only sysctl=net.netfilter.nf_conntrack_max wanted=7 now=${max} reason="cannot write /proc/sys/net/netfilter/nf_conntrack_max`,
    );
    expect(await sysctl("netfilter/nf_conntrack_udp_timeout")).toBe("43\n");
  });

  test("127.0.0.1 is opened for node ports", async () => {
    expect(logged(openLocalhost)).toEqual(["INFO sysctl set sysctl=net.ipv4.conf.all.route_localnet value=1 before=0"]);
    expect(await sysctl("ipv4/conf/all/route_localnet")).toBe("1\n");
  });
});
