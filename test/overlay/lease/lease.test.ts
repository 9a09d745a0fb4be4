import { describe, expect, test } from "vitest";
import { parseAddress } from "../../../lib/net/address.ts";
import { type Cidr, parseCidr } from "../../../lib/net/cidr.ts";
import { leaseOf, leaseText, parseLeaseRecord } from "../../../overlay/lease/lease.ts";
import type { Claim, Parts } from "../../../overlay/types.ts";

const FOUR = { address: parseAddress("192.0.2.1"), mac: "0a:00:00:00:00:01" };
const SIX = { address: parseAddress("fd50::1"), mac: "0a:00:00:00:00:02" };
const DUAL: Claim = {
  host: "a",
  backend: "vxlan",
  vni: 1,
  parts: {
    4: FOUR,
    6: SIX,
  },
  previous: {},
  pinned: false,
};
const SUBNETS = { 4: parseCidr("10.244.1.0/24"), 6: parseCidr("fd00:244:1::/64") };
const KEY = "/coreos.com/network/subnets/10.244.1.0-24&fd00:244:1::-64";
const FORMS: readonly { what: string; claim: Claim; subnets: Parts<Cidr>; key: string }[] = [
  { what: "both families", claim: DUAL, subnets: SUBNETS, key: KEY },
  {
    what: "IPv6 alone",
    claim: { ...DUAL, parts: { 6: SIX } },
    subnets: { 6: SUBNETS[6] },
    key: "/x/0.0.0.0-0&fd00:244:1::-64",
  },
  {
    what: "host-gw",
    claim: { ...DUAL, backend: "host-gw", vni: undefined, parts: { 4: { ...FOUR, mac: undefined } } },
    subnets: { 4: SUBNETS[4] },
    key: "/x/10.244.1.0-24",
  },
];

describe("a lease", () => {
  test("of both families is written in flannel's words", () => {
    expect(leaseText(DUAL)).toBe(
      '{"PublicIP":"192.0.2.1","PublicIPv6":"fd50::1","BackendType":"vxlan",' +
        '"BackendData":{"VNI":1,"VtepMAC":"0a:00:00:00:00:01"},' +
        '"BackendV6Data":{"VNI":1,"VtepMAC":"0a:00:00:00:00:02"},"Host":"a"}',
    );
  });

  test.each(FORMS)("of $what is read as it was written", ({ claim, subnets, key }) => {
    const read = parseLeaseRecord(key, leaseText(claim));
    expect(read.lease).toEqual(leaseOf(key, claim, subnets));
    expect(read).toMatchObject({ key, subnets, host: "a" });
  });

  test("that flannel wrote is known by its address", () => {
    const text =
      '{"PublicIP":"192.0.2.7","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"ca:fe:00:00:00:07"}}';
    const { lease, host } = parseLeaseRecord("/coreos.com/network/subnets/10.244.7.0-24", text);
    expect(host).toBeUndefined();
    expect(lease).toEqual({
      key: "/coreos.com/network/subnets/10.244.7.0-24",
      host: "192.0.2.7",
      backend: "vxlan",
      vni: 1,
      parts: {
        4: { subnet: parseCidr("10.244.7.0/24"), address: parseAddress("192.0.2.7"), mac: "ca:fe:00:00:00:07" },
      },
    });
  });

  test("of a host that is still to come is a reservation", () => {
    const { lease, addresses } = parseLeaseRecord("/x/10.244.7.0-24", '{"PublicIP":"192.0.2.7"}');
    expect(lease).toBeUndefined();
    expect(addresses).toEqual({ 4: parseAddress("192.0.2.7") });
  });

  test.each([
    ["{", "the record is no JSON"],
    ["[]", "PublicIP is absent, not an address"],
    [record({ PublicIP: "192.0.2.300" }), 'PublicIP: invalid IP address: "192.0.2.300"'],
    [record({ PublicIP: "127.0.0.1" }), "PublicIP is 127.0.0.1, which is no host's address"],
    [record({ PublicIP: "fd50::1" }), "PublicIP is fd50::1, not IPv4"],
    [record({ BackendType: "udp" }), 'BackendType is "udp": there are vxlan and host-gw'],
    [record({ BackendData: null }), "BackendData: VNI is absent, not a number from 1 to 16777215"],
    [record({ BackendData: { VNI: 16777216, VtepMAC: "0a:00:00:00:00:01" } }), "VNI is 16777216"],
    [record({ BackendData: { VNI: 1 } }), "VtepMAC is absent, not a MAC address"],
    [record({ BackendData: { VNI: 1, VtepMAC: "01:00:00:00:00:01" } }), "is the MAC of a group"],
  ])("%s is refused, and why is said", (text, reason) => {
    expect(() => parseLeaseRecord("/x/10.244.7.0-24", text)).toThrow(reason);
  });

  test("with two VNIs is refused", () => {
    const text = leaseText(DUAL).replace('"BackendV6Data":{"VNI":1', '"BackendV6Data":{"VNI":2');
    expect(() => parseLeaseRecord(KEY, text)).toThrow("the VNI is 1 in BackendData and 2 in BackendV6Data");
  });
});

function record(more: object): string {
  const usual = {
    PublicIP: "192.0.2.7",
    BackendType: "vxlan",
    BackendData: { VNI: 1, VtepMAC: "0a:00:00:00:00:01" },
  };
  return JSON.stringify({ ...usual, ...more });
}
