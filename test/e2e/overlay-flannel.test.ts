/**
 * Containers that flannel's CNI plugin attached, on a host that has ours now. That plugin gave the bridge plugin a
 * config of its making and kept it by the container's id; the rest is the bridge plugin's, the reference's where it
 * is at hand.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isTsnetError } from "../../lib/errors.ts";
import { referencePrograms } from "../cluster/build.ts";
import { type Host, PLUGINS } from "./host.ts";
import { addressOf, attach, done, overlayConf, put, type Result, SUBNET_FILE, usedOnce } from "./overlay-world.ts";
import { ask, serve } from "./packets.ts";
import { world } from "./world.ts";

/** Without Go and Debian's package there are no reference plugins. */
const reference = await referencePrograms().catch((error: unknown) => {
  if (isTsnetError(error, "not-found")) return undefined;
  throw error;
});

const FLANNEL_DIR = "/var/lib/cni/flannel";

// As flannel 0.28 writes it.
const FLANNELS = `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.1.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
`;

/** What flannel's plugin makes of its manifest's config (delegate: hairpinMode, isDefaultGateway) and of subnet.env. */
const DELEGATED = {
  cniVersion: "0.3.1",
  hairpinMode: true,
  ipMasq: false,
  ipam: {
    ranges: [[{ subnet: "10.244.1.0/24" }]],
    routes: [{ dst: "10.244.0.0/16" }],
    type: "host-local",
  },
  isDefaultGateway: true,
  isGateway: true,
  mtu: 1450,
  name: "cbr0",
  type: "bridge",
};

let host: Host;
beforeEach(async () => {
  host = await world();
  await put(host, SUBNET_FILE, FLANNELS);
});
afterEach(() => host.destroy());

/** Does what flannel's plugin does at ADD. */
async function flannelAttach(id: string, path: string): Promise<Result> {
  const netns = await host.addNetns(id);
  await put(host, `${FLANNEL_DIR}/${id}`, JSON.stringify(DELEGATED));
  const out = await host.cni("ADD", "bridge", DELEGATED, { id, netns, path });
  expect(out, out.stdout + out.stderr).toMatchObject({ exitCode: 0 });
  return out.json as Result;
}

const left = async () =>
  (
    await host.sh(
      "find /var/lib/cni /run/tsnet/overlay/attachments -type f 2>/dev/null | grep -vE 'lock|last_' || true; ip -o link | grep -o 'veth[0-9a-f]*' || true",
    )
  ).trim();

const MAKERS: readonly (readonly [name: string, path: string])[] = [
  ["our bridge plugin", PLUGINS],
  ...(reference === undefined ? [] : [[`the reference's, ${reference.origin}`, reference.directory] as const]),
];

describe.each(MAKERS)("containers attached by flannel's plugin with %s", (_, path) => {
  // The list that the agent writes is called tsnet unless told otherwise, flannel's cbr0.
  it.each(["cbr0", "tsnet"])(
    "share the bridge with ours on the network %s: no address is given twice",
    async (name) => {
      const conf = overlayConf({ name });
      const theirs = await flannelAttach("theirs", path);
      const ours = [await attach(host, "o1", conf), await attach(host, "o2", conf)];
      const addresses = [theirs, ...ours].map((result) => addressOf(result, 4));
      expect(addresses).toEqual(["10.244.1.2", "10.244.1.3", "10.244.1.4"]);
      await serve(host, "theirs", 80, "theirs");
      expect(await ask(host, "o2", "tcp", addresses[0] ?? "", 80)).toBe(`theirs ${addresses[2]}`);
      await done(host, "STATUS", conf);
    },
  );

  it.each([
    ["cbr0", "while it is there", async () => {}],
    ["tsnet", "while it is there", async () => {}],
    ["cbr0", "with its namespace gone", () => host.sh("ip netns del theirs")],
    ["tsnet", "with its namespace gone", () => host.sh("ip netns del theirs")],
    ["tsnet", "with no agent's files", () => host.sh("rm -rf /run/flannel /run/tsnet")],
  ] as const)("are removed whole by our DEL on the network %s: %s", async (name, _when, harm) => {
    const conf = overlayConf({ name });
    await usedOnce(host, conf);
    await flannelAttach("theirs", path);
    expect(await left()).toContain(`${FLANNEL_DIR}/theirs`);
    await harm();
    for (let times = 0; times < 2; times++) await done(host, "DEL", conf, { id: "theirs" });
    expect(await left()).toBe("");
    expect(await host.sh("cat /proc/net/dev | grep -c veth || true")).toBe("0\n");
  });

  it("pass CHECK for as long as they are whole", async () => {
    const conf = overlayConf({ name: "tsnet", cniVersion: "1.0.0" });
    const prevResult = await flannelAttach("theirs", path);
    const check = { ...conf, cniVersion: "0.4.0", prevResult: { ...prevResult, cniVersion: "0.4.0" } };
    await done(host, "CHECK", check, { id: "theirs" });
    await host.sh("ip -n theirs route del default");
    const out = await host.cni("CHECK", "overlay", check, { id: "theirs", netns: "/run/netns/theirs" });
    expect(out.json).toMatchObject({ code: 103, msg: expect.stringMatching(/lacks the route/) });
  });
});

it("GC forgets flannel's containers of this network that are not valid, and no others", async () => {
  const conf = overlayConf({ name: "cbr0" });
  for (const id of ["stays", "goes"]) await flannelAttach(id, PLUGINS);
  await put(host, `${FLANNEL_DIR}/other`, JSON.stringify({ ...DELEGATED, name: "net2" }));
  await put(host, `${FLANNEL_DIR}/broken`, "{");
  await host.ok(["ip", "netns", "del", "goes"]);
  await done(host, "GC", { ...conf, "cni.dev/valid-attachments": [{ containerID: "stays", ifname: "eth0" }] });
  expect(await host.sh(`ls ${FLANNEL_DIR}; ls /var/lib/cni/networks/cbr0 | grep ^10`)).toBe(
    "broken\nother\nstays\n10.244.1.2\n",
  );
});

it("a file of flannel's plugin that cannot be read does not stand in the way of DEL", async () => {
  const conf = overlayConf({ name: "cbr0" });
  await flannelAttach("theirs", PLUGINS);
  await put(host, `${FLANNEL_DIR}/theirs`, "{");
  const { stderr } = await done(host, "DEL", conf, { id: "theirs" });
  expect(stderr).toContain(`${FLANNEL_DIR}/theirs, of flannel's plugin, cannot be read`);
  expect(
    await host.sh("ls /var/lib/cni/networks/cbr0 | grep ^10 || true; ip -n theirs link show eth0 2>&1 || true"),
  ).toMatch(/^Device "eth0" does not exist/);
});

it("a flannel config works with the type alone changed, and a container of ours is not flannel's", async () => {
  const conf = {
    cniVersion: "0.3.1",
    name: "cbr0",
    type: "overlay",
    delegate: { hairpinMode: true, isDefaultGateway: true },
  };
  const result = await attach(host, "a", conf);
  expect(result.ips).toMatchObject([{ version: "4", address: "10.244.1.2/24", gateway: "10.244.1.1" }]);
  expect(await host.sh("ip -n a route")).toMatch(
    /^default via 10\.244\.1\.1 dev eth0 *\n10\.244\.0\.0\/16 via 10\.244\.1\.1/,
  );
  expect(await host.sh(`ls ${FLANNEL_DIR} 2>&1 || true`)).toMatch(/No such file/);
  await done(host, "DEL", conf, { id: "a" });
  expect(await left()).toBe("");
});
