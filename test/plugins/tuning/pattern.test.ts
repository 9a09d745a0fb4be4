import { describe, expect, it } from "vitest";
import { parsePattern } from "../../../plugins/tuning/pattern.ts";

const FILE = "/etc/cni/tuning/allowlist.conf";

describe("a line of the allow list", () => {
  it.each([
    ["^net.ipv4.conf.IFNAME.[a-z_]*$", "net.ipv4.conf.IFNAME.arp_filter", true],
    ["^net.ipv4.conf.IFNAME.[a-z_]*$", "net.ipv4.conf.IFNAME.arp_filter2", false],
    ["somaxconn", "net.core.somaxconn", true],
    ["^net\\.core\\.[[:alnum:]_]+$", "net.core.rmem_max", true],
    ["^net\\.core\\.[[:digit:]]+$", "net.core.rmem_max", false],
    ["\\Anet\\.core\\z", "net.core", true],
    ["\\Anet\\.core\\z", "net.core.x", false],
    ["^net\\/core\\-x\\_y$", "net/core-x_y", true],
    ["(?i)^NET\\.CORE", "net.core.x", true],
    ["^(?P<family>net)\\.(?:ipv4|ipv6)\\.", "net.ipv6.conf", true],
    ["^\\Qnet.ipv4.(x)\\E$", "net.ipv4.(x)", true],
    ["^\\Qnet.ipv4", "netxipv4", false],
    ["^net[]./[]core$", "net.core", true],
    ["^net[^]x]core$", "net.core", true],
    ["^net[^]x]core$", "net]core", false],
    ["^[\\w\\-.]+$", "net.core-x", true],
  ])("%s matches %s: %s", (line, key, matches) => {
    expect(parsePattern(line, FILE).test(key)).toBe(matches);
  });

  it.each([
    "(",
    "[a",
    "a**",
    "(?=net)",
    "(?!kernel)net",
    "(?<=net)x",
    "\\1",
    "\\cA",
    "[[:nonsense:]]",
    "a{2,1}",
    "(?s-i)x",
  ])("%s is refused, as RE2 knows none such or we do not", (line) => {
    expect(() => parsePattern(line, FILE)).toThrow(`${FILE}: ${JSON.stringify(line)} is no regular expression`);
  });
});
