/** The keys of a tsnet.yaml that are about names. */
import { describe, expect, test } from "vitest";
import { formatAddress } from "../../lib/net/address.ts";
import { parseProject } from "../../standalone/file/file.ts";
import type { ContainerSpec } from "../../standalone/file/project.ts";

function containerOf(keys: string): ContainerSpec | undefined {
  const text = `containers:\n  db: { command: [x] }\n  web:\n    command: [x]\n${keys}networks: { front: {}, back: {} }\n`;
  return parseProject(text, "/srv/hello/tsnet.yaml").containers.get("web");
}

describe("names in a tsnet.yaml", () => {
  test("containers row 22: resolvers, search domains and more hosts", () => {
    const web = containerOf(`
    dns: [192.168.1.1, "fd00::53"]
    dns_search: [example.com, "corp."]
    extra_hosts: ["nas:192.168.1.9", "six=[fd00::9]", "gate:host-gateway"]
`);
    expect(web?.dns.map(formatAddress)).toEqual(["192.168.1.1", "fd00::53"]);
    expect(web?.dnsSearch).toEqual(["example.com", "corp"]);
    expect(web?.extraHosts).toEqual({ nas: "192.168.1.9", six: "fd00::9", gate: "host-gateway" });
  });

  test("one resolver and one domain need no list, and hosts may be a mapping", () => {
    const web = containerOf("    dns: 192.168.1.1\n    dns_search: .\n    extra_hosts: { nas: 192.168.1.9 }\n");
    expect(web?.dns.map(formatAddress)).toEqual(["192.168.1.1"]);
    expect(web?.dnsSearch).toEqual([]);
    expect(web?.extraHosts).toEqual({ nas: "192.168.1.9" });
  });

  test("aliases belong to a network", () => {
    const web = containerOf("    networks: { front: { aliases: [www, shop.example, www] }, back: { aliases: api } }\n");
    expect(web?.network).toMatchObject({ joins: [{ aliases: ["www", "shop.example"] }, { aliases: ["api"] }] });
  });

  test.each([
    [
      "    dns: 127.0.0.53\n",
      "5:10: containers.web.dns: found 127.0.0.53, which is the container itself: the host's resolvers are asked without this key, also those on its loopback",
    ],
    [
      "    dns: [dns.example]\n",
      '5:11: containers.web.dns[0]: found "dns.example", allowed is the address of a resolver, such as 192.168.1.1',
    ],
    [
      "    networks: { front: { aliases: [a b] } }\n",
      '5:36: containers.web.networks.front.aliases[0]: found "a b", allowed is a host name: letters, digits, - and _, in parts of at most 63 divided by dots',
    ],
    [
      "    extra_hosts: [nas]\n",
      '5:19: containers.web.extra_hosts[0]: found "nas", allowed is NAME:ADDRESS, where ADDRESS may be host-gateway',
    ],
    [
      "    network: container:db\n    dns: 192.168.1.1\n",
      "6:10: containers.web.dns: goes where its network is: at container db",
    ],
  ])("%j is told with line and column", (keys, line) => {
    expect(() => containerOf(keys)).toThrow(`/srv/hello/tsnet.yaml:${line}`);
  });
});
