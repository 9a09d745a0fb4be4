import { expect, it } from "vitest";
import { hashedName } from "../../../lib/cni/hash.ts";

it("names chains and devices as the reference plugins do", () => {
  expect(hashedName("CNI-", "test" + "1234", 28)).toBe("CNI-2bbe0c48b91a7d1b8a6753a8");
  expect(hashedName("bwp", "test" + "1234", 15)).toBe("bwp2bbe0c48b91a");
});
