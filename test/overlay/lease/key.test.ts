import { describe, expect, test } from "vitest";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { parseSubnetKey, subnetKey } from "../../../overlay/lease/key.ts";

const FOUR = parseCidr("10.244.2.0/24");
const SIX = parseCidr("fd00:244:2::/64");

describe("a subnet's key", () => {
  test.each([
    ["10.244.2.0-24", { 4: FOUR }],
    ["10.244.2.0-24&fd00:244:2::-64", { 4: FOUR, 6: SIX }],
    ["0.0.0.0-0&fd00:244:2::-64", { 6: SIX }],
  ])("%s is written and read as flannel does", (key, subnets) => {
    expect(subnetKey(subnets)).toBe(key);
    expect(parseSubnetKey(key)).toEqual(subnets);
  });

  test.each([
    ["", "is no subnet's key"],
    ["config", "is no subnet's key"],
    ["10.244.2.0/24", "is no subnet's key"],
    ["10.244.2.0-24&", "is no subnet's key"],
    ["10.244.2.0-33", "invalid CIDR"],
    ["10.244.300.0-24", "invalid CIDR"],
    ["10.244.2.1-24", "has host bits: the subnet is 10.244.2.0/24"],
    ["10.244.2.0-24&fd00::1-64", "has host bits"],
    ["0.0.0.0-0", "names no subnet"],
  ])("%j is refused", (key, reason) => {
    expect(() => parseSubnetKey(key)).toThrow(reason);
  });
});
