import { describe, expect, test } from "vitest";
import { parseAddress } from "../../../lib/net/address.ts";
import { type Cidr, formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import { parseNetworkConfig } from "../../../overlay/config/network.ts";
import { type Choice, chooseSubnet, type Found, isPaired, type Question } from "../../../overlay/lease/choose.ts";
import { subnetKey } from "../../../overlay/lease/key.ts";
import { leaseText, parseLeaseRecord } from "../../../overlay/lease/lease.ts";
import { mapParts, valuesOf } from "../../../overlay/parts.ts";
import type { Claim, Parts } from "../../../overlay/types.ts";

const NETWORK = { Network: "10.244.0.0/16", Backend: { Type: "vxlan" } };
const DUAL = { ...NETWORK, EnableIPv6: true, IPv6Network: "fd00:244::/48" };
const OURS = host("a", 1);

describe("a host with nothing", () => {
  test("takes a free subnet of the pool", () => {
    expect(chosen(ask({ random: () => 0 }))).toBe("10.244.1.0/24");
    expect(chosen(ask({ random: () => 0.9999 }))).toBe("10.244.255.0/24");
  });

  test("goes round those that are taken, larger and smaller ones", () => {
    const found = [lease(host("b", 2), "10.244.1.0/24"), lease(host("c", 3), "10.244.2.0/23")];
    const small = lease(host("d", 4), "10.244.4.64/26");
    expect(chosen(ask({ found: [...found, small], random: () => 0 }))).toBe("10.244.5.0/24");
  });

  test("takes IPv6's subnet of the same number, so that two hosts at once differ in both", () => {
    expect(chosen(ask({ config: DUAL, claim: dual(OURS), random: () => 0.5 }))).toBe(
      "10.244.128.0/24 fd00:244:0:80::/64",
    );
  });

  test("takes the next of IPv6 if that one is somebody's, which is no pair any more", () => {
    const found = [lease(dual(host("b", 2)), "10.244.9.0/24", "fd00:244:0:1::/64")];
    const choice = ask({ config: DUAL, claim: dual(OURS), found, random: () => 0 });
    expect(chosen(choice)).toBe("10.244.1.0/24 fd00:244:0:2::/64");
    const config = parseNetworkConfig(DUAL, "test");
    expect(choice.kind === "take" && isPaired(choice.subnets, config)).toBe(false);
  });

  test("is refused if all are taken", () => {
    const config = { ...NETWORK, SubnetMin: "10.244.1.0", SubnetMax: "10.244.1.0" };
    const found = [lease(host("b", 2), "10.244.1.0/24")];
    expect(ask({ config, found })).toMatchObject({ kind: "refused", reason: expect.stringContaining("1 of /24") });
  });

  test("takes none that somebody has whose record cannot be read", () => {
    const found = [{ key: "/x/10.244.1.0-24", subnets: { 4: parseCidr("10.244.1.0/24") }, record: undefined }];
    expect(chosen(ask({ found, random: () => 0 }))).toBe("10.244.2.0/24");
  });

  test("is refused without an address of a family that the network has", () => {
    expect(ask({ config: DUAL })).toMatchObject({
      kind: "refused",
      reason: "the network has IPv6, and this host has no IPv6 address on its underlay",
    });
  });
});

describe("a host that had a subnet", () => {
  test("takes it again, if nobody has it", () => {
    expect(chosen(ask({ claim: { ...OURS, previous: four("10.244.9.0/24") } }))).toBe("10.244.9.0/24");
  });

  test("takes another if somebody has it, and no container is on it", () => {
    const found = [lease(host("b", 2), "10.244.9.0/24")];
    const choice = ask({ claim: { ...OURS, previous: four("10.244.9.0/24") }, found, random: () => 0 });
    expect(chosen(choice)).toBe("10.244.1.0/24");
  });

  test("does not take it back if it is of no pool any more", () => {
    const claim = { ...OURS, previous: four("10.245.9.0/24") };
    expect(chosen(ask({ claim, random: () => 0 }))).toBe("10.244.1.0/24");
    expect(chosen(ask({ claim: { ...OURS, previous: four("10.244.9.0/25") }, random: () => 0 }))).toBe("10.244.1.0/24");
  });

  test("keeps its lease rather than what a file says", () => {
    const found = [lease(OURS, "10.244.7.0/24")];
    expect(chosen(ask({ claim: { ...OURS, previous: four("10.244.9.0/24") }, found }))).toBe("10.244.7.0/24");
  });

  test("with containers takes it or nothing, and is told who has it", () => {
    const claim = { ...OURS, previous: four("10.244.9.0/24"), pinned: true };
    expect(chosen(ask({ claim, found: [lease(OURS, "10.244.7.0/24")] }))).toBe("10.244.9.0/24");
    const taken = ask({ claim, found: [lease(host("b", 2), "10.244.8.0/23")] });
    expect(taken).toEqual({ kind: "taken", subnets: claim.previous, holder: "b (192.0.2.2)" });
  });

  test("with containers keeps it though no pool has it, but not outside of the network", () => {
    const config = { ...NETWORK, SubnetMin: "10.244.100.0" };
    const claim = { ...OURS, pinned: true };
    expect(chosen(ask({ config, claim: { ...claim, previous: four("10.244.9.0/24") } }))).toBe("10.244.9.0/24");
    expect(ask({ claim: { ...claim, previous: four("10.99.9.0/24") } })).toMatchObject({
      kind: "refused",
      reason: expect.stringContaining("10.99.9.0/24, which is not in the network 10.244.0.0/16"),
    });
  });

  test("gets a subnet of the family that is new, beside the one that it has", () => {
    const found = [lease(OURS, "10.244.7.0/24")];
    expect(chosen(ask({ config: DUAL, claim: dual(OURS), found }))).toBe("10.244.7.0/24 fd00:244:0:7::/64");
  });

  test("takes what is reserved for its address first", () => {
    const reserved = { key: "/x/10.244.8.0-24", subnets: four("10.244.8.0/24") };
    const record = parseLeaseRecord(reserved.key, '{"PublicIP":"192.0.2.1"}');
    const choice = ask({ found: [lease(OURS, "10.244.7.0/24"), { ...reserved, record }] });
    expect(chosen(choice)).toBe("10.244.8.0/24");
  });
});

describe("row 18: who is who", () => {
  test("the same address and MAC is this host, started again", () => {
    expect(chosen(ask({ found: [lease(OURS, "10.244.7.0/24")] }))).toBe("10.244.7.0/24");
  });

  test("the same address with another MAC is another host, named with the way out", () => {
    const found = [
      lease({ ...host("b", 2), parts: { 4: { ...host("b", 2).parts[4], address: address(1) } } }, "10.244.7.0/24"),
    ];
    const refused = ask({ found });
    expect(refused.kind === "refused" && refused.reason).toMatch(
      /192\.0\.2\.1 is the address of another host: \S+10\.244\.7\.0-24 is held by b with the MAC 0a:00:00:00:00:02.*--replace-lease/,
    );
    expect(chosen(ask({ found, replaceLease: true }))).toBe("10.244.7.0/24");
    // One that comes back after that lives.
    expect(chosen(ask({ found, replaceLease: true, held: four("10.244.7.0/24") }))).toBe('"refused"');
  });

  test("the same MAC and name with another address is this host, which has moved", () => {
    const before = { ...OURS, parts: { 4: { address: address(99), mac: "0a:00:00:00:00:01" } } };
    expect(chosen(ask({ found: [lease(before, "10.244.7.0/24")] }))).toBe("10.244.7.0/24");
  });

  test("an address that we had and have no more is told by nobody while another host has ours", () => {
    const rival = lease(
      { ...host("b", 2), parts: { 4: { ...host("b", 2).parts[4], address: address(1) } } },
      "10.244.7.0/24",
    );
    const before = lease({ ...OURS, parts: { 4: { ...OURS.parts[4], address: address(99) } } }, "10.244.8.0/24");
    const found = [rival, before];
    expect(ask({ found, claim: { ...OURS, present: [address(1)] } })).toMatchObject({
      kind: "shared",
      astray: [before],
    });
    // Where it is still an address of this host, or nobody knows, packets come.
    expect(ask({ found, claim: { ...OURS, present: [address(1), address(99)] } }).kind).toBe("refused");
    expect(ask({ found }).kind).toBe("refused");
  });

  test("the same MAC with another name is a copy of another host, which keeps its subnet", () => {
    const original = { ...host("b", 2), parts: { 4: { address: address(2), mac: "0a:00:00:00:00:01" } } };
    const claim = { ...OURS, previous: four("10.244.7.0/24") };
    expect(chosen(ask({ claim, found: [lease(original, "10.244.7.0/24")], random: () => 0 }))).toBe("10.244.1.0/24");
  });

  test("a copy that takes over what this host holds is told of, and not fought with", () => {
    const copy = { ...OURS, parts: { 4: { address: address(99), mac: "0a:00:00:00:00:01" } } };
    const choice = ask({ found: [lease(copy, "10.244.7.0/24")], held: four("10.244.7.0/24") });
    expect(choice).toMatchObject({ kind: "taken", holder: "a (192.0.2.99)" });
  });

  test("flannel's record of our device under an earlier address is ours, if our containers were on it", () => {
    const text =
      '{"PublicIP":"192.0.2.99","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"0a:00:00:00:00:01"}}';
    const found = [{ ...lease(OURS, "10.244.7.0/24"), record: parseLeaseRecord("/x/10.244.7.0-24", text) }];
    expect(chosen(ask({ claim: { ...OURS, previous: four("10.244.7.0/24") }, found }))).toBe("10.244.7.0/24");
    expect(chosen(ask({ found, random: () => 0 }))).toBe("10.244.1.0/24");
  });

  test("with host-gw the same address is this host", () => {
    const claim: Claim = {
      ...OURS,
      backend: "host-gw",
      vni: undefined,
      parts: { 4: { address: address(1), mac: undefined } },
    };
    expect(chosen(ask({ claim, found: [lease(OURS, "10.244.7.0/24")] }))).toBe("10.244.7.0/24");
  });
});

type Asked = Partial<Omit<Question<Found>, "config">> & { readonly config?: object };

function ask({ config = NETWORK, ...more }: Asked = {}): Choice<Found> {
  return chooseSubnet<Found>({
    config: parseNetworkConfig(config, "test"),
    found: [],
    claim: OURS,
    held: undefined,
    replaceLease: false,
    random: () => 0.3,
    ...more,
  });
}

function chosen(choice: Choice<Found>): string {
  return choice.kind === "take"
    ? valuesOf(mapParts(choice.subnets, formatCidr)).join(" ")
    : JSON.stringify(choice.kind);
}

function host(
  name: string,
  number: number,
): Claim & { readonly parts: { readonly 4: { readonly address: ReturnType<typeof address>; readonly mac: string } } } {
  const parts = { 4: { address: address(number), mac: `0a:00:00:00:00:0${number}` } };
  return { host: name, backend: "vxlan", vni: 1, parts, previous: {}, pinned: false };
}

function dual(claim: ReturnType<typeof host>): Claim {
  const six = { address: parseAddress(`fd50::${claim.parts[4].address.value & 0xffn}`), mac: claim.parts[4].mac };
  return { ...claim, parts: { ...claim.parts, 6: six } };
}

function address(number: number) {
  return parseAddress(`192.0.2.${number}`);
}

function four(text: string): Parts<Cidr> {
  return { 4: parseCidr(text) };
}

function lease(claim: Claim, ...texts: readonly string[]): Found {
  const subnets = Object.fromEntries(texts.map(parseCidr).map((cidr) => [cidr.address.family, cidr]));
  const key = `/x/${subnetKey(subnets)}`;
  return { key, subnets, record: parseLeaseRecord(key, leaseText(claim)) };
}
