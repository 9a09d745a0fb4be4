import { expect, test } from "vitest";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { derivedMac, parseVtepMac } from "../../../overlay/lease/mac.ts";

test("a derived MAC is the same on every host, and another for every subnet and VNI", () => {
  const macs = [
    derivedMac(1, parseCidr("10.244.1.0/24")),
    derivedMac(1, parseCidr("10.244.2.0/24")),
    derivedMac(2, parseCidr("10.244.1.0/24")),
    derivedMac(1, parseCidr("fd00:244:1::/64")),
  ];
  // Hosts of different versions have to agree.
  expect(macs).toEqual(["1e:69:04:ad:12:42", "c2:da:15:00:d2:47", "da:08:18:c2:01:3d", "76:f1:38:72:50:d7"]);
});

test("a derived MAC is one device's, which nobody assigned", () => {
  for (let i = 0; i < 256; i++) {
    const first = Number.parseInt(derivedMac(1, parseCidr(`10.244.${i}.0/24`)).slice(0, 2), 16);
    expect(first & 3).toBe(2);
  }
});

test("a VTEP's MAC is read in every form, and is one device's", () => {
  expect(parseVtepMac("0A-00-00-00-00-01")).toBe("0a:00:00:00:00:01");
  expect(() => parseVtepMac("01:00:5e:00:00:01")).toThrow("01:00:5e:00:00:01 is the MAC of a group");
  expect(() => parseVtepMac("00:00:00:00:00:00")).toThrow("is no device's MAC");
  expect(() => parseVtepMac("0a:00:00:00:00")).toThrow("invalid MAC address");
});
