import { expect, it } from "vitest";
import { parseResolvConf } from "../../../lib/ipam/resolv-conf.ts";

it("reads a resolver configuration, comments and unknown lines aside", () => {
  const text = `
# nameserver 9.9.9.9
; search nowhere
nameserver 10.1.0.1
  nameserver fd00::1
domain example.org
search a.example.org b.example.org
search c.example.org
options ndots:5 edns0
sortlist 10.0.0.0
nameserver
`;
  expect(parseResolvConf(text)).toEqual({
    nameservers: ["10.1.0.1", "fd00::1"],
    domain: "example.org",
    search: ["a.example.org", "b.example.org", "c.example.org"],
    options: ["ndots:5", "edns0"],
  });
  expect(parseResolvConf("")).toEqual({});
});
