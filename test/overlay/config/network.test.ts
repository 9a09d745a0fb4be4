import { expect, test } from "vitest";
import { isTsnetError, messageOf } from "../../../lib/errors.ts";
import { formatAddress } from "../../../lib/net/address.ts";
import { formatCidr } from "../../../lib/net/cidr.ts";
import { type NetworkOptions, parseNetworkConfig } from "../../../overlay/config/network.ts";
import type { NetworkConfig } from "../../../overlay/types.ts";

test("a network alone is vxlan with the kernel's port and a /24 for each host", () => {
  const { config, warnings } = read('{ "Network": "10.3.0.0/16" }');
  expect(shown(config)).toEqual(["10.3.0.0/16: /24 from 10.3.1.0 to 10.3.255.0"]);
  expect(config.backend).toEqual({
    type: "vxlan",
    vni: 1,
    port: 8472,
    mtu: undefined,
    learning: false,
    gbp: false,
    directRouting: false,
    checksumOffload: true,
  });
  expect(config.nftables).toBeUndefined();
  expect(warnings).toEqual([]);
});

test("both families, each with its own pool", () => {
  const { config } = read({ Network: "10.244.0.0/16", IPv6Network: "fd00:244::/48", EnableIPv6: true });
  expect(shown(config)).toEqual([
    "10.244.0.0/16: /24 from 10.244.1.0 to 10.244.255.0",
    "fd00:244::/48: /64 from fd00:244:0:1:: to fd00:244:0:ffff::",
  ]);
});

test("keys are read in any case, and null is what is not set", () => {
  const { config, warnings } = read(
    '{"network":null,"ENABLEIPV4":false,"enableIPv6":true,"ipv6network":"fc00::/48","backend":{"type":"VXLAN","vni":7}}',
  );
  expect(shown(config)).toEqual(["fc00::/48: /64 from fc00:0:0:1:: to fc00:0:0:ffff::"]);
  expect(config.backend).toMatchObject({ vni: 7 });
  expect(warnings).toEqual([]);
});

test("subnets of another length and range, as flannel's own example has them", () => {
  const four = read({ Network: "10.3.0.0/16", SubnetMin: "10.3.5.0", SubnetMax: "10.3.8.0", SubnetLen: 28 });
  expect(shown(four.config)).toEqual(["10.3.0.0/16: /28 from 10.3.5.0 to 10.3.8.0"]);
  const small = read({ Network: "10.3.0.0/24" });
  expect(shown(small.config)).toEqual(["10.3.0.0/24: /26 from 10.3.0.64 to 10.3.0.192"]);
});

test("the MTU is that of what leaves the host, so that VXLAN's part is taken off: 50 bytes, 70 where IPv6 carries it", () => {
  const backend = { MTU: 1450 };
  expect(read({ Network: "10.3.0.0/16", Backend: backend }).config.backend.mtu).toBe(1400);
  expect(
    read({ Network: "10.3.0.0/16", EnableIPv6: true, IPv6Network: "fd00::/48", Backend: backend }).config.backend.mtu,
  ).toBe(1380);
  expect(read({ Network: "10.3.0.0/16", Backend: { Type: "host-gw", MTU: 1450 } }).config.backend).toEqual({
    type: "host-gw",
    mtu: 1450,
  });
  expect(read({ Network: "10.3.0.0/16", Backend: { MTU: 0 } }).config.backend.mtu).toBeUndefined();
});

test("every key of vxlan", () => {
  const Backend = {
    Type: "vxlan",
    VNI: 16_777_215,
    Port: 4789,
    Learning: true,
    GBP: true,
    DirectRouting: true,
    ChecksumOffload: false,
  };
  expect(read({ Network: "10.3.0.0/16", EnableNFTables: true, Backend }).config).toMatchObject({
    nftables: true,
    backend: {
      vni: 16_777_215,
      port: 4789,
      learning: true,
      gbp: true,
      directRouting: true,
      checksumOffload: false,
    },
  });
});

test("where somebody else gives hosts their subnets nothing is made of those keys", () => {
  const { config } = read({ Network: "10.3.0.0/30", SubnetLen: 24 }, { assigned: true });
  expect(config.pools).toEqual({});
});

test("an unknown key is left out and named with the nearest that is known", () => {
  const { warnings } = read({ Network: "10.3.0.0/16", Netwrk: 1, Backend: { DirectRuting: true, PSK: "x" } });
  expect(warnings).toEqual([
    "net-conf: Netwrk: no such key, the nearest is Network; it is left out",
    "net-conf: Backend.DirectRuting: no such key, the nearest is DirectRouting; it is left out",
    "net-conf: Backend.PSK: no such key; it is left out",
  ]);
});

test("what is there and changes nothing is named", () => {
  const { warnings } = read({
    Network: "10.3.0.0/16",
    IPv6Network: "fd00::/48",
    Backend: { Type: "host-gw", VNI: 3 },
  });
  expect(warnings).toEqual([
    "net-conf: IPv6Network: there is no IPv6 network: EnableIPv6 is not true",
    "net-conf: Backend.VNI: it changes nothing with host-gw",
  ]);
});

test("everything that is wrong is told at once, each with its key", () => {
  expect(
    refusal({
      Network: "fd00::/48",
      EnableIPv6: "yes",
      Backend: { VNI: 16_777_216, Port: 70_000, MTU: 100, Learning: 1 },
    }),
  ).toEqual([
    'net-conf: Network: it is "fd00::/48", wanted is an IPv4 network such as 10.244.0.0/16',
    'net-conf: EnableIPv6: it is "yes", wanted is true or false',
    "net-conf: Backend.VNI: it is 16777216, wanted is a whole number of 1 to 16777215",
    "net-conf: Backend.Port: it is 70000, wanted is a whole number of 0 to 65535",
    "net-conf: Backend.MTU: it is 100, wanted is a whole number of 626 to 65535",
    "net-conf: Backend.Learning: it is 1, wanted is true or false",
  ]);
});

test.each([
  [{}, "Network: it is missing: write a network for the containers, such as 10.244.0.0/16"],
  [{ EnableIPv4: false }, "EnableIPv4: neither it nor EnableIPv6 is true: one is wanted"],
  [
    { EnableIPv4: false, EnableIPv6: true },
    "IPv6Network: it is missing: write a network for the containers, such as fd00:244::/48",
  ],
  [{ Network: "224.0.0.0/8" }, "Network: 224.0.0.0/8 overlaps 224.0.0.0/4, which no container can have"],
  [{ Network: "0.0.0.0/0" }, 'Network: it is "0.0.0.0/0", wanted is an IPv4 network such as 10.244.0.0/16'],
  [
    { Network: "10.3.0.0/29" },
    "SubnetLen: 10.3.0.0/29 is too small to make four subnets of it: a network of /28 at most is wanted",
  ],
  [
    { Network: "10.3.0.0/24", SubnetLen: 25 },
    "SubnetLen: 10.3.0.0/24 has no room for four subnets of /25: wanted is 26 at least",
  ],
  [{ Network: "10.3.0.0/16", SubnetLen: 31 }, "SubnetLen: it is 31, wanted is a whole number of 0 to 30"],
  [{ Network: "10.3.0.0/16", SubnetMin: "10.4.0.0" }, "SubnetMin: 10.4.0.0 is not in 10.3.0.0/16"],
  [{ Network: "10.3.0.0/16", SubnetMax: "10.3.9.8" }, "SubnetMax: 10.3.9.8 is not where a subnet begins: 10.3.9.0 is"],
  [
    { Network: "10.3.0.0/16", SubnetMin: "10.3.9.0", SubnetMax: "10.3.8.0" },
    "SubnetMax: 10.3.8.0 comes before SubnetMin, 10.3.9.0",
  ],
  [{ Network: "10.3.0.0/16", Backend: "vxlan" }, 'Backend: it is "vxlan", wanted is {"Type": "vxlan"}'],
  [
    { Network: "10.3.0.0/16", Backend: { Type: "wireguard", PSK: "x" } },
    "Backend.Type: flannel's wireguard is not there: choose vxlan or host-gw",
  ],
  [
    { Network: "10.3.0.0/16", Backend: { Type: "vxlam" } },
    'Backend.Type: "vxlam" is not one of vxlan, host-gw: did you mean vxlan?',
  ],
  [{ Network: "10.3.0.0/16", Backend: { VNI: 0 } }, "Backend.VNI: it is 0, wanted is a whole number of 1 to 16777215"],
])("%j is refused", (config, problem) => {
  expect(refusal(config)).toEqual([`net-conf: ${problem}`]);
});

test("a text that is no JSON, and JSON that is no object", () => {
  expect(refusal("{ Network")[0]).toMatch(/^net-conf: it is no JSON: /);
  expect(refusal("[]")).toEqual([`net-conf: it is no object: wanted is {"Network": "10.244.0.0/16", ...}`]);
});

function read(source: unknown, options: NetworkOptions = {}) {
  const warnings: string[] = [];
  return {
    config: parseNetworkConfig(source, "net-conf", { warn: (text) => warnings.push(text), ...options }),
    warnings,
  };
}

function refusal(source: unknown): readonly string[] {
  try {
    read(source);
  } catch (error) {
    expect(isTsnetError(error, "invalid", "decoding")).toBe(true);
    return messageOf(error).split("\n");
  }
  throw new Error("it was accepted");
}

function shown({ networks, pools }: NetworkConfig): readonly string[] {
  return ([4, 6] as const).flatMap((family) => {
    const network = networks[family];
    const pool = pools[family];
    if (network === undefined || pool === undefined) return [];
    const range = `from ${formatAddress(pool.min)} to ${formatAddress(pool.max)}`;
    return [`${formatCidr(network)}: /${pool.length} ${range}`];
  });
}
