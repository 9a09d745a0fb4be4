import { expect, test } from "vitest";
import {
  affinitySet,
  dispatchChain,
  endpointHash,
  isServiceChain,
  MARKER,
  NOT_LOCAL,
  portChains,
  shortHash,
} from "../../../proxy/iptables/names.ts";

test("a service's chains have kube-proxy's names", () => {
  // kube-proxy 1.36.3 has these in its own tests.
  expect(portChains("ns1/svc1:p80", "tcp")).toEqual({
    svc: "KUBE-SVC-XPGD46QRK7WJZT7O",
    svl: "KUBE-SVL-XPGD46QRK7WJZT7O",
    ext: "KUBE-EXT-XPGD46QRK7WJZT7O",
    fw: "KUBE-FW-XPGD46QRK7WJZT7O",
  });
  const endpoint = { address: "10.180.0.1", port: 80, local: false };
  expect(endpointHash("ns1/svc1:p80", "tcp", endpoint)).toBe("SXIVWICOYRO3J4NJ");
});

test("an endpoint of IPv6 is hashed with its address in brackets", () => {
  const endpoint = { address: "fd00::1", port: 80, local: false };
  expect(endpointHash("a/b", "tcp", endpoint)).toBe(shortHash("a/btcp[fd00::1]:80"));
});

test("every chain that is ours alone is one that a real kube-proxy removes as stale", () => {
  for (const chain of [MARKER, NOT_LOCAL, dispatchChain("10.96.0.0-16"), dispatchChain("fd00.10.96..1230-124")]) {
    expect(isServiceChain(chain)).toBe(true);
    expect(chain.length).toBeLessThanOrEqual(28);
  }
});

test("a dispatch chain says where it leads, as long as that fits", () => {
  expect(dispatchChain("255.255.255.255-32")).toBe("KUBE-SVC-255.255.255.255-32");
  expect(dispatchChain("fd00.10.96..-108")).toBe("KUBE-SVC-fd00.10.96..-108");
  expect(dispatchChain("fd00.10.96.1.2.3.4.5-128")).toMatch(/^KUBE-SVC-[A-Z2-7]{16}$/);
});

test("a set's name fits and tells the family", () => {
  const hash = shortHash("x");
  expect(affinitySet(4, hash)).not.toBe(affinitySet(6, hash));
  expect(affinitySet(6, hash).length).toBeLessThanOrEqual(31);
});
