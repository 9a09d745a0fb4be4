import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Host } from "../../e2e/host.ts";
import { FirewallAgent } from "../firewall/agent.ts";

let host: Host;
beforeEach(async () => {
  host = await Host.create();
});
afterEach(() => host.destroy());

const sysctl = async (name: string) => (await host.ok(["sysctl", "-n", name])).trim();

/** What is logged when the host is prepared, told in a process of its own there. */
async function prepared(
  more: { services?: boolean; wish?: { families: readonly (4 | 6)[] } } = {},
  wrap: readonly string[] = [],
): Promise<readonly string[]> {
  await using agent = await FirewallAgent.start(host, "none", { wrap });
  await agent.ask("prepare", more);
  return agent.log();
}

describe("forwarding", () => {
  test("is turned on in each family that the network has, and told", async () => {
    const log = await prepared({ wish: { families: [4] } });
    expect(await sysctl("net.ipv4.ip_forward")).toBe("1");
    expect(await sysctl("net.ipv6.conf.all.forwarding")).toBe("0");
    expect(log).toEqual([expect.stringMatching(/^info: net\.ipv4\.ip_forward was off: turned on/)]);
    await prepared();
    expect(await sysctl("net.ipv6.conf.all.forwarding")).toBe("1");
    expect(await prepared()).toEqual([]);
  });

  test("containers row 2: leaves the host its router advertisements", async () => {
    await host.sh(`
      ip link add up0 type veth peer name up1; ip link add up2 type veth peer name up3
      sysctl -qw net.ipv6.conf.up0.accept_ra=1 net.ipv6.conf.up2.accept_ra=0
    `);
    await prepared();
    expect(await sysctl("net.ipv6.conf.up0.accept_ra")).toBe("2");
    expect(await sysctl("net.ipv6.conf.up2.accept_ra")).toBe("0");
  });

  test("the command for a link with a dot in its name is one that sysctl takes", async () => {
    await host.sh(`
      ip link add up0.7 type veth peer name up1
      sysctl -qw net.ipv6.conf.up0/7.accept_ra=1 net.ipv4.ip_forward=1`);
    const readOnly = ["unshare", "--mount", "sh", "-c", 'mount -o bind,ro /proc/sys /proc/sys; exec "$@"', "sh"];
    const [line = ""] = (await prepared({}, readOnly)).filter((one) => one.includes("up0"));
    const command = line.split(": ").at(-1) ?? "";
    expect(command).toBe("sysctl -w net.ipv6.conf.up0/7.accept_ra=2");
    await host.sh(command);
    expect(await sysctl("net.ipv6.conf.up0/7.accept_ra")).toBe("2");
  });

  test("that cannot be turned on is told, and nothing fails", async () => {
    const readOnly = ["unshare", "--mount", "sh", "-c", 'mount -o bind,ro /proc/sys /proc/sys; exec "$@"', "sh"];
    const log = await prepared({}, readOnly);
    expect(await sysctl("net.ipv4.ip_forward")).toBe("0");
    expect(log).toEqual([
      expect.stringMatching(/^warn: cannot set net\.ipv4\.ip_forward, .*: sysctl -w net\.ipv4\.ip_forward=1$/),
      expect.stringMatching(/^warn: cannot set net\.ipv6\.conf\.all\.forwarding, /),
    ]);
    await host.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    expect(await prepared({}, readOnly)).toEqual([]);
  });
});

describe("row 20: br_netfilter", () => {
  const hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc/sys/net/bridge; exec "$@"', "sh"];
  beforeEach(() => host.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"));

  test("that is missing is told with the command to load it, and nothing fails", async () => {
    expect(await prepared({ services: true }, hide)).toEqual([
      "warn: a container that calls a Service of a container on the same host gets no answer: the kernel's br_netfilter is not loaded: modprobe br_netfilter",
    ]);
  });

  test("that is off is told with what to set", async () => {
    await host.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=0");
    expect(await prepared({ services: true })).toEqual([
      "warn: a container that calls a Service of a container on the same host gets no answer: net.bridge.bridge-nf-call-ip6tables is 0: sysctl -w net.bridge.bridge-nf-call-ip6tables=1",
    ]);
    expect(await prepared({ services: true, wish: { families: [4] } })).toEqual([]);
  });

  test("is nobody's concern where there are no Services", async () => {
    expect(await prepared({}, hide)).toEqual([]);
  });
});
