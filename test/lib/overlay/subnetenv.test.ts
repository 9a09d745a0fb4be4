import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import {
  gatewayOf,
  parseSubnetEnv,
  readSubnetEnv,
  removeSubnetEnv,
  renderSubnetEnv,
  type SubnetEnv,
  writeSubnetEnv,
} from "../../../lib/overlay/subnetenv.ts";

const DUAL: SubnetEnv = {
  networks: { 4: parseCidr("10.244.0.0/16"), 6: parseCidr("fd00:244::/48") },
  subnets: { 4: parseCidr("10.244.1.1/24"), 6: parseCidr("fd00:244:0:1::1/64") },
  mtu: 1450,
  ipMasq: true,
};

const parse = (text: string, boot?: string) => parseSubnetEnv(text, "/run/flannel/subnet.env", boot);

// As flannel 0.28 writes it.
const FLANNELS = `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.1.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=false
`;

describe("subnet.env", () => {
  it("has flannel's keys in flannel's order, and names the boot in a comment", () => {
    expect(renderSubnetEnv(DUAL, "b-1")).toBe(
      [
        "FLANNEL_NETWORK=10.244.0.0/16",
        "FLANNEL_SUBNET=10.244.1.1/24",
        "FLANNEL_IPV6_NETWORK=fd00:244::/48",
        "FLANNEL_IPV6_SUBNET=fd00:244:0:1::1/64",
        "FLANNEL_MTU=1450",
        "FLANNEL_IPMASQ=true",
        "# boot b-1",
        "",
      ].join("\n"),
    );
  });

  it.each([
    ["both families", DUAL],
    ["IPv4", { ...DUAL, networks: { 4: parseCidr("10.244.0.0/16") }, subnets: { 4: parseCidr("10.244.1.1/24") } }],
    ["IPv6", { ...DUAL, networks: { 6: parseCidr("fd00::/48") }, subnets: { 6: parseCidr("fd00::1/64") }, mtu: 1430 }],
    ["several networks", { ...DUAL, moreNetworks: [parseCidr("10.245.0.0/16"), parseCidr("fd00:245::/48")] }],
  ])("reads back what it writes: %s", (_, env: SubnetEnv) => {
    expect(parse(renderSubnetEnv(env, "b-1"), "b-1")).toEqual(env);
  });

  it("reads flannel's own, which names no boot", () => {
    expect(parse(FLANNELS, "b-1")).toEqual({
      networks: { 4: parseCidr("10.244.0.0/16") },
      subnets: { 4: parseCidr("10.244.1.1/24") },
      mtu: 1450,
      ipMasq: false,
    });
  });

  it("reads what people write by hand: quotes, export, comments, other keys, white space at the ends", () => {
    const text = `# mine\r\nexport FLANNEL_NETWORK="10.244.0.0/16"\r\n  FLANNEL_SUBNET='10.244.1.1/24'\nFLANNEL_IPV6_NETWORK=\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\nOTHER=1`;
    expect(parse(text)).toMatchObject({ mtu: 1450, ipMasq: true, networks: { 4: parseCidr("10.244.0.0/16") } });
  });

  it("counts for nothing when it is of another boot", () => {
    expect(parse(renderSubnetEnv(DUAL, "b-1"), "b-2")).toBeUndefined();
  });

  it.each([
    ["", "is missing FLANNEL_NETWORK, FLANNEL_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ"],
    ["FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\n", "is missing FLANNEL_MTU, FLANNEL_IPMASQ"],
    [FLANNELS.replace("10.244.1.1/24", "10.244.1.1"), "FLANNEL_SUBNET: invalid CIDR address"],
    [
      FLANNELS.replace("10.244.1.1/24", "10.9.1.1/24"),
      "FLANNEL_SUBNET 10.9.1.1/24 is not in FLANNEL_NETWORK 10.244.0.0/16",
    ],
    [FLANNELS.replace("1450", "65536"), "FLANNEL_MTU is 65536, allowed are 68 to 65535"],
    [FLANNELS.replace("1450", "-1"), "FLANNEL_MTU is -1"],
    [FLANNELS.replace("10.244.0.0/16", "fd00::/48"), "FLANNEL_NETWORK is fd00::/48, wanted IPv4"],
    [`${FLANNELS}FLANNEL_IPV6_SUBNET=fd00::1/64\n`, "has FLANNEL_IPV6_SUBNET and no FLANNEL_IPV6_NETWORK"],
  ])("refuses %j, naming file and key", (text, message) => {
    expect(() => parse(text)).toThrow(/^\/run\/flannel\/subnet\.env/);
    expect(() => parse(text)).toThrow(message);
  });

  it("names the gateway, the first address but one", () => {
    expect(formatCidr(gatewayOf(parseCidr("10.244.1.0/24")))).toBe("10.244.1.1/24");
    expect(formatCidr(gatewayOf(parseCidr("fd00:244:0:1::/64")))).toBe("fd00:244:0:1::1/64");
  });
});

describe("its file", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(`${tmpdir()}/subnetenv-`);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("is made with its folder, readable for all, and nothing is left beside it", () => {
    const path = `${directory}/flannel/subnet.env`;
    expect(readSubnetEnv(path)).toBeUndefined();
    expect(writeSubnetEnv(path, DUAL)).toBe(true);
    expect(readSubnetEnv(path)).toEqual(DUAL);
    expect(readFileSync(path, "utf8")).toContain(readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
    expect(statSync(path).mode & 0o777).toBe(0o644);
    expect(readdirSync(`${directory}/flannel`)).toEqual(["subnet.env"]);
  });

  it("is not written again where it says the same, and is replaced as a whole where not", () => {
    const path = `${directory}/subnet.env`;
    writeSubnetEnv(path, DUAL);
    const { ino } = statSync(path);
    expect(writeSubnetEnv(path, DUAL)).toBe(false);
    expect(statSync(path).ino).toBe(ino);
    expect(writeSubnetEnv(path, { ...DUAL, mtu: 1400 })).toBe(true);
    expect(readSubnetEnv(path)?.mtu).toBe(1400);
    expect(statSync(path).ino).not.toBe(ino);
  });

  it("is removed, and it is fine if it is not there", () => {
    const path = `${directory}/subnet.env`;
    writeFileSync(path, FLANNELS);
    expect([removeSubnetEnv(path), removeSubnetEnv(path)]).toEqual([true, false]);
  });
});
