import { describe, expect, test } from "vitest";
import { parseProxy, proxyFor } from "../../../lib/kube/httpproxy.ts";

const PROXY = "http://proxy.example:3128";

describe("the proxy of the environment", () => {
  test.each([
    ["https://10.96.0.1:443", { HTTPS_PROXY: PROXY }, PROXY],
    ["https://10.96.0.1:443", { https_proxy: PROXY }, PROXY],
    ["https://10.96.0.1:443", { HTTP_PROXY: PROXY }, undefined],
    ["http://10.96.0.1:8080", { HTTP_PROXY: PROXY }, PROXY],
    ["https://10.96.0.1", { HTTPS_PROXY: "proxy.example:3128" }, PROXY],
    ["https://10.96.0.1", {}, undefined],
  ])("for %s with %j is %s", (server, env, expected) => {
    expect(proxyFor(server, env)).toBe(expected);
  });

  test.each([
    ["https://10.96.0.1", "10.0.0.0/8"],
    ["https://10.96.0.1", "example.com, 10.96.0.0/12 ,other"],
    ["https://[fd00::1]:6443", "fd00::/8"],
    ["https://10.96.0.1:6443", "10.96.0.1"],
    ["https://10.96.0.1:6443", "10.96.0.1:6443"],
    ["https://10.96.0.1", "10.96.0.1:443"],
    ["https://[fd00::1]:6443", "[fd00::1]:6443"],
    ["https://[fd00::1]:6443", "fd00:0::1"],
    ["https://api.example.com", "example.com"],
    ["https://api.example.com", ".example.com"],
    ["https://api.example.com", "*.EXAMPLE.com"],
    ["https://api.example.com:6443", "example.com:6443"],
    ["https://anything", "*"],
    ["https://localhost:6443", ""],
    ["https://127.0.0.2:6443", ""],
    ["https://[::1]:6443", ""],
  ])("is not used for %s with NO_PROXY=%s", (server, NO_PROXY) => {
    expect(proxyFor(server, { HTTPS_PROXY: PROXY, NO_PROXY })).toBeUndefined();
  });

  test.each([
    ["https://10.96.0.1", "10.97.0.0/16"],
    ["https://10.96.0.1:6443", "10.96.0.1:443"],
    ["https://10.96.0.1", "fd00::/8,not/a/network,10.96.0.10"],
    ["https://api.example.com", "ample.com"],
    ["https://example.com", ".example.com"],
    ["https://api.example.com", "api.example.org,,"],
  ])("is used for %s with NO_PROXY=%s", (server, no_proxy) => {
    expect(proxyFor(server, { HTTPS_PROXY: PROXY, no_proxy })).toBe(PROXY);
  });
});

test("a SOCKS proxy is refused, not passed by", () => {
  expect(() => parseProxy("socks5://10.0.0.1", "proxy-url")).toThrow(
    expect.objectContaining({ code: "unsupported", message: expect.stringContaining("proxy-url") }),
  );
});
