/** What `--cleanup` takes away, what it leaves, and what it says. */
import { expect, test } from "vitest";
import { Host, PROJECT } from "../host.ts";

const KUBE_PROXY = `${PROJECT}/dist/kube-proxy`;

/** What kubelet makes, and somebody else's rules: none of it is a proxy's. */
const OTHERS = (iptables: string) => `
  ${iptables} -t mangle -N KUBE-KUBELET-CANARY
  ${iptables} -t mangle -N KUBE-IPTABLES-HINT
  ${iptables} -N KUBE-FIREWALL
  ${iptables} -A KUBE-FIREWALL -m comment --comment "kubelet's" -j DROP
  ${iptables} -A INPUT -j KUBE-FIREWALL
  ${iptables} -t nat -N KUBE-SERVED-BY-SOMEBODY
  ${iptables} -t nat -A PREROUTING -p tcp --dport 1 -j KUBE-SERVED-BY-SOMEBODY
`;

/** A proxy's rules, as few as show what becomes of each kind. `mark` is the chain that says that they are ours. */
const RULES = (iptables: string, mark: string) => `
  ${iptables} -t mangle -N KUBE-PROXY-CANARY
  ${iptables} -t nat -N KUBE-PROXY-CANARY
  ${iptables} -N KUBE-PROXY-CANARY
  ${iptables} -N KUBE-FORWARD
  ${iptables} -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
  for chain in KUBE-SERVICES KUBE-NODEPORTS KUBE-POSTROUTING KUBE-MARK-MASQ KUBE-SVC-A KUBE-SEP-B ${mark}; do
    ${iptables} -t nat -N $chain
  done
  ${iptables} -t nat -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
  ${iptables} -t nat -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
  ${iptables} -t nat -A KUBE-SERVICES -j KUBE-SVC-A
  ${iptables} -t nat -A KUBE-SVC-A -j KUBE-SEP-B
`;

const MARK = "KUBE-SVC-tsnet-proxy";

const cleanup = async (host: Host) => {
  const { exitCode, stdout, stderr } = await host.run([KUBE_PROXY, "--cleanup"]);
  return {
    exitCode,
    stdout,
    lines: stderr
      .replaceAll(/^\d{4}-\S+ /gm, "")
      .trimEnd()
      .split("\n"),
  };
};
const NOTHING_LEFT = "INFO nothing of tsnet's proxy is left";

test("where there is nothing it says so, and makes nothing", async () => {
  await using host = await Host.create();
  const before = await host.snapshot();

  expect(await cleanup(host)).toEqual({ exitCode: 0, stdout: "", lines: [NOTHING_LEFT] });
  expect(await host.snapshot()).toBe(before);
});

test.each(["iptables-nft", "ip6tables-nft", "iptables-legacy"])(
  "%s: all of ours goes, kubelet's and others' stays",
  async (iptables) => {
    await using host = await Host.create();
    await host.sh(OTHERS(iptables));
    const before = await host.snapshot();
    await host.sh(RULES(iptables, MARK));
    const family = iptables.startsWith("ip6") ? 6 : 4;
    const variant = iptables.endsWith("legacy") ? "legacy" : "nft";

    expect(await cleanup(host)).toEqual({
      exitCode: 0,
      stdout: "",
      lines: [`INFO removed iptables rules of IPv${family}, ${variant} variant`, NOTHING_LEFT],
    });
    expect(await host.snapshot()).toBe(before);
  },
);

test("after a real kube-proxy took over, only what is not its own goes", async () => {
  await using host = await Host.create();
  await host.sh(OTHERS("iptables"));
  await host.sh(RULES("iptables", "KUBE-SVC-C"));
  await host.sh("nft add table ip kube-proxy; nft add table ip6 kube-proxy");
  const before = await host.snapshot();
  await host.sh("nft add table ip tsnet-proxy; nft add chain ip tsnet-proxy x; nft add table ip6 tsnet-proxy");

  expect(await cleanup(host)).toEqual({
    exitCode: 0,
    stdout: "",
    lines: [
      "INFO removed nftables table ip tsnet-proxy",
      "INFO removed nftables table ip6 tsnet-proxy",
      "INFO the rules of another kube-proxy stay family=4 variant=nft",
      NOTHING_LEFT,
    ],
  });
  expect(await host.snapshot()).toBe(before);
});

test("what was cut off half-way goes, too", async () => {
  await using host = await Host.create();
  const before = await host.snapshot();
  await host.sh("iptables -N KUBE-FORWARD; iptables -t nat -N KUBE-SVC-tsnet-proxy");

  expect((await cleanup(host)).exitCode).toBe(0);
  expect(await host.snapshot()).toBe(before);
});

test("what cannot be removed is named, the rest goes, and the exit code is 1", async () => {
  await using host = await Host.create();
  await host.sh(`${RULES("iptables", MARK)} nft add table ip6 tsnet-proxy`);
  const broken = `mount --bind /bin/false "$(readlink -f "$(command -v xtables-nft-multi)")"; exec ${KUBE_PROXY} --cleanup`;
  const { exitCode, stderr } = await host.run(["unshare", "--mount", "sh", "-ec", broken]);

  expect(exitCode).toBe(1);
  expect(stderr).toContain("INFO removed nftables table ip6 tsnet-proxy");
  expect(stderr).toContain("ERROR could not remove iptables rules of IPv4, nft variant reason=");
  expect(stderr).not.toContain("nothing of tsnet's proxy is left");
  expect((await cleanup(host)).exitCode).toBe(0);
});

/** One service with all that leaves traces of its own: node ports, affinity, both families. */
const MANIFEST = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: default }
spec:
  type: NodePort
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:96::10"]
  sessionAffinity: ClientIP
  ports: [{ port: 80, nodePort: 30080 }]
${[
  { family: "IPv4", addresses: ["10.1.0.2", "10.1.0.3"] },
  { family: "IPv6", addresses: ["fd00:1::2", "fd00:1::3"] },
]
  .map(
    ({ family, addresses }) => `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-${family}, namespace: default, labels: { kubernetes.io/service-name: web } }
addressType: ${family}
ports: [{ port: 8080 }]
endpoints: [${addresses.map((address) => `{ addresses: ["${address}"] }`).join(", ")}]
`,
  )
  .join("")}`;

const MODES = ["iptables", "nftables"] as const;

/** Programs the service in a mode, and ends. */
async function program(host: Host, mode: (typeof MODES)[number]): Promise<void> {
  await host.ok(["mkdir", "-p", "/run/manifests"]);
  await host.ok(["tee", "/run/manifests/web.yaml"], { stdin: MANIFEST });
  await host.ok([KUBE_PROXY, "--manifests=/run/manifests", "--once", `--proxy-mode=${mode}`]);
}

/** A snapshot with the host's sets, less what stays by design: KUBE-FIREWALL is kubelet's, too. */
async function state(host: Host): Promise<string> {
  const text = `${await host.snapshot()}# sets\n${await host.ok(["ipset", "list", "-name"])}`;
  return text.replaceAll(/^.*KUBE-FIREWALL.*\n/gm, "");
}

test.each(MODES)("what a proxy made in %s mode goes whole", async (mode) => {
  await using host = await Host.create();
  const before = await state(host);
  await program(host, mode);
  expect(await state(host)).not.toBe(before);

  expect((await cleanup(host)).exitCode).toBe(0);
  expect(await state(host)).toBe(before);
});

test.each([
  ["iptables", "nftables"],
  ["nftables", "iptables"],
] as const)("from %s to %s mode nothing of the former is left, nor of a kube-proxy in it", async (former, latter) => {
  await using fresh = await Host.create();
  await using host = await Host.create();
  await program(fresh, latter);
  await program(host, former);
  if (former === "iptables") await host.sh(RULES("iptables-legacy", "KUBE-SVC-C"));
  else await host.sh("nft add table ip kube-proxy; nft add chain ip kube-proxy services; nft add table ip6 kube-proxy");

  await program(host, latter);

  expect(await state(host)).toBe(await state(fresh));
});
