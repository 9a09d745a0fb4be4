import { describe, expect, test } from "vitest";
import { formatAddress } from "../../lib/net/address.ts";
import { formatCidr } from "../../lib/net/cidr.ts";
import { parseProject } from "../../standalone/file/file.ts";
import { formatPort, formatPorts } from "../../standalone/file/ports.ts";

const parse = (text: string) => parseProject(text, "/srv/hello/tsnet.yaml");

/** The lines of the error, without the file's name. */
function errorsOf(text: string): readonly string[] {
  try {
    parse(text);
  } catch (error) {
    return String((error as Error).message)
      .split("\n")
      .map((line) => line.replace("/srv/hello/tsnet.yaml:", ""));
  }
  return [];
}

const web = (rest: string) => `containers:\n  web:\n    command: [sleep, infinity]\n${rest}`;

describe("a tsnet.yaml", () => {
  test("says what the issue's example says", () => {
    const project = parse(`
name: hello
networks:
  front: { subnet: 10.88.1.0/24 }
containers:
  web:
    networks: [front]
    ports: ["8080:80"]
    command: [busybox, httpd, -f, -p, "80", -h, /srv/www]
  shell:
    network: host
    command: [sleep, infinity]
`);
    expect(project.name).toBe("hello");
    const front = project.networks.get("front");
    expect(front?.subnet && formatCidr(front.subnet)).toBe("10.88.1.0/24");
    expect(project.containers.get("web")).toMatchObject({
      network: { kind: "bridge", joins: [{ network: "front", addresses: [] }] },
      command: ["busybox", "httpd", "-f", "-p", "80", "-h", "/srv/www"],
      ports: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
      hostname: "web",
      workdir: "/",
      privileged: false,
    });
    expect(project.containers.get("shell")?.network).toEqual({ kind: "host" });
  });

  test("containers row 25: is a project of the folder's name unless it says another", () => {
    expect(parse(web("")).name).toBe("hello");
    expect(parseProject(web(""), "/srv/My Project.d/tsnet.yaml").name).toBe("my-project-d");
    expect(parse(`name: other\n${web("")}`).name).toBe("other");
  });

  test("puts a container that names no network on the network default", () => {
    expect(parse(web("")).containers.get("web")?.network).toEqual({
      kind: "bridge",
      joins: [{ network: "default", addresses: [] }],
    });
  });

  test("takes every key of a network and of a container", () => {
    const project = parse(`
networks:
  front: { subnet: 10.1.0.0/24, gateway: [10.1.0.254, "fd00:1::1"], ipv6: "fd00:1::/64", mtu: 1400, bridge: br7, masquerade: false, options: { backend: nftables, portIsolation: true, vlan: 7 } }
  auto: { ipv6: true }
  back: { external: other.back }
containers:
  web:
    networks: { front: { address: [10.1.0.20, "fd00:1::20"], mac: "02-42-0A-01-00-14" }, back: }
    command: [serve, 1.10, true]
    environment: { A: 1.10, B: yes, C: }
    rootfs: ./root
    hostname: web.example
    workdir: /srv/../srv/www/
    mounts: [./www:/srv/www:ro, /var/log:/var/log]
    privileged: true
    user: 1000:www
    pid: host
  side:
    network: container:web
    command: [sleep, "1"]
    environment: [X=1=2, Y=]
`);
    const front = project.networks.get("front");
    expect(front?.gateways.map(formatAddress)).toEqual(["10.1.0.254", "fd00:1::1"]);
    expect(front).toMatchObject({ mtu: 1400, bridge: "br7", masquerade: false });
    expect(front?.options).toEqual({ backend: "nftables", portIsolation: true, vlan: 7 });
    expect(project.networks.get("auto")?.ipv6).toBe("auto");
    expect(project.networks.get("back")?.external).toBe("other.back");
    const container = project.containers.get("web");
    expect(container).toMatchObject({
      command: ["serve", "1.10", "true"],
      environment: { A: "1.10", B: "yes", C: "" },
      rootfs: "/srv/hello/root",
      hostname: "web.example",
      workdir: "/srv/www",
      mounts: [
        { source: "/srv/hello/www", target: "/srv/www", readOnly: true },
        { source: "/var/log", target: "/var/log", readOnly: false },
      ],
      user: "1000:www",
      shares: ["pid"],
    });
    const mode = container?.network;
    expect(mode?.kind === "bridge" && mode.joins[0]?.addresses.map(formatAddress)).toEqual(["10.1.0.20", "fd00:1::20"]);
    expect(mode?.kind === "bridge" && mode.joins[0]?.mac).toBe("02:42:0a:01:00:14");
    expect(project.containers.get("side")?.environment).toEqual({ X: "1=2", Y: "" });
  });

  test("shares what anchors stand for", () => {
    const project = parse(`
containers:
  one: { command: [a], environment: &env { K: v } }
  two: { command: [b], environment: *env }
`);
    expect(project.containers.get("two")?.environment).toEqual({ K: "v" });
  });
});

describe("a mistake in a tsnet.yaml", () => {
  test.each([
    [
      "containers:\n  web:\n    comand: [x]\n",
      ['3:5: containers.web.comand: unknown key "comand", did you mean "command"?'],
    ],
    [
      web("    colour: red\n"),
      [
        '4:5: containers.web.colour: unknown key "colour"; allowed are networks, network, ports, command, environment, rootfs, hostname, workdir, mounts, privileged, user, dns, dns_search, extra_hosts, pid, ipc, uts, mount',
      ],
    ],
    [
      web("    networks: [frnot]\nnetworks: { front: }\n"),
      ['4:15: containers.web.networks: unknown network "frnot", did you mean "front"?; there are front'],
    ],
    [
      web("    network: bridged\n"),
      [
        '4:14: containers.web.network: found "bridged", allowed is bridge, host, none or container:NAME; a network goes under networks: [NAME]',
      ],
    ],
    [web("    network: container:wb\n"), ['4:14: containers.web.network: unknown container "wb"; there is no other']],
    [
      web("    network: container:web\n"),
      ["4:14: containers.web.network: a container cannot be in its own network namespace: name another"],
    ],
    [web("    privileged: 1\n"), ["4:17: containers.web.privileged: found 1, allowed is true or false"]],
    [web("    workdir: srv\n"), ['4:14: containers.web.workdir: found "srv", allowed is an absolute path']],
    [
      "containers:\n  web: { command: sleep infinity }\n",
      [
        '2:19: containers.web.command: found "sleep infinity", allowed is a list of program and arguments, such as [sleep, infinity]',
      ],
    ],
    [
      "containers:\n  web: { command: 'sleep 5 && echo \"done\"' }\n",
      [
        '2:19: containers.web.command: found "sleep 5 && echo \\"done\\"", allowed is a list of program and arguments, such as [sh, -c, "sleep 5 && echo \\"done\\""]',
      ],
    ],
    [
      `${web("")}networks:\n  front: { subnet: 10.1.0.0/16 }\n  back: { subnet: 10.1.2.0/24 }\n`,
      ["6:19: networks.back.subnet: 10.1.2.0/24 overlaps with 10.1.0.0/16 of network front: choose another"],
    ],
    [
      "containers:\n  web: [x]\n",
      [
        "2:3: containers.web: no command; give one as a list, such as command: [sleep, infinity]",
        "2:8: containers.web: found a list, allowed is a mapping with the keys networks, network, ports, command, environment, rootfs, hostname, workdir, mounts, privileged, user, dns, dns_search, extra_hosts, pid, ipc, uts, mount",
      ],
    ],
    [
      "containers:\n  a.b: { command: [x] }\n",
      [
        '2:3: containers.a.b: "a.b" cannot be a container\'s name, allowed is a name of letters, digits, "-" and "_", at most 41 of them',
      ],
    ],
    ["networks: {}\n", ["1:1: the file: no containers: name one under the key containers"]],
    ["", ["1:1: the file: no containers: name one under the key containers"]],
    [
      "containers:\n  web: { command: [x] }\n  web: { command: [y] }\n",
      ["3:3: the same key is there twice: leave one of them out"],
    ],
    [
      `${web("")}networks:\n  front: { subnet: 10.1.0.1/24 }\n`,
      ["5:20: networks.front.subnet: found 10.1.0.1/24, which has host bits set: write 10.1.0.0/24"],
    ],
    [
      `${web("")}networks:\n  front: { subnet: 10.1.0.0/31 }\n`,
      ["5:20: networks.front.subnet: found 10.1.0.0/31, which has no room for a container: at most /30"],
    ],
    [
      `${web("")}networks:\n  front: { subnet: 10.1.0 }\n`,
      ['5:20: networks.front.subnet: found "10.1.0", allowed is an IPv4 subnet, such as 10.88.1.0/24'],
    ],
    [
      `${web("")}networks:\n  front: { subnet: 10.1.0.0/24, gateway: 10.1.0.255 }\n`,
      ["5:42: networks.front.gateway: found 10.1.0.255, allowed is an address of 10.1.0.0/24"],
    ],
    [
      `${web("")}networks:\n  front: { mtu: 20 }\n`,
      ["5:17: networks.front.mtu: found 20, allowed is a whole number from 68 to 65535"],
    ],
    [
      `${web("")}networks:\n  front: { bridge: a-very-long-bridge }\n`,
      [
        '5:20: networks.front.bridge: found "a-very-long-bridge", allowed is an interface name of letters, digits, ".", "_" and "-", at most 15 of them',
      ],
    ],
    [
      web("    networks: { front: { address: 10.1.0.1 } }\nnetworks: { front: { subnet: 10.1.0.0/24 } }\n"),
      ["4:15: containers.web.networks: address 10.1.0.1 of network front is its gateway"],
    ],
    [
      web("    networks: { front: { address: 10.2.0.1 } }\nnetworks: { front: { subnet: 10.1.0.0/24 } }\n"),
      ["4:15: containers.web.networks: address 10.2.0.1 of network front is not one of its subnet 10.1.0.0/24"],
    ],
    [
      web("    networks: { front: { address: 10.1.0.2 } }\nnetworks: { front: }\n"),
      ["4:15: containers.web.networks: address 10.1.0.2 of network front needs a subnet that the file names"],
    ],
    [
      web("    mount: host\n    rootfs: /x\n"),
      [
        "4:12: containers.web.mount: host goes with privileged: true and pid: host alone",
        "5:13: containers.web.rootfs: goes with a mount namespace of its own: leave out mount: host",
      ],
    ],
  ])("%j is told with line and column", (text, lines) => {
    expect(errorsOf(text)).toEqual(lines);
  });

  test("does not hide the others", () => {
    expect(errorsOf(web("    privileged: 1\n    user: a b\n    bogus: 1\n"))).toHaveLength(3);
  });

  test("of YAML itself has its line, too", () => {
    expect(errorsOf("containers:\n  web: [x\n")[0]).toMatch(/^3:1: /);
  });
});

describe("containers row 29: ports", () => {
  test("need no quotes, also where YAML 1.1 read them as numbers to base 60", () => {
    const ports = parse(
      web("    ports: [8080:80, 22:22, 127.0.0.1:53:5353/udp, '[::1]:90:91', 8000-8002:9000-9002]\n"),
    ).containers.get("web")?.ports;
    expect(ports?.map(formatPort)).toEqual([
      "8080->80/tcp",
      "22->22/tcp",
      "127.0.0.1:53->5353/udp",
      "[::1]:90->91/tcp",
      "8000->9000/tcp",
      "8001->9001/tcp",
      "8002->9002/tcp",
    ]);
  });

  test("are shown as they were written: a range is one", () => {
    const ports = parse(web("    ports: [80:80, 8000-8002:9000-9002, 8003:9003/udp, '[::1]:1-2:1-2', 3:3]\n"));
    expect(formatPorts(ports.containers.get("web")?.ports ?? [])).toEqual([
      "80->80/tcp",
      "8000-8002->9000-9002/tcp",
      "8003->9003/udp",
      "[::1]:1-2->1-2/tcp",
      "3->3/tcp",
    ]);
  });

  test("without a host port, or with 0, have one chosen", () => {
    const ports = parse(web("    ports: [80, 0:81, 127.0.0.1::82, '[::1]:0:83/udp', 84-85]\n")).containers.get(
      "web",
    )?.ports;
    expect(ports?.map(formatPort)).toEqual([
      "0->80/tcp",
      "0->81/tcp",
      "127.0.0.1:0->82/tcp",
      "[::1]:0->83/udp",
      "0->84/tcp",
      "0->85/tcp",
    ]);
  });

  test.each([
    ["8080:http", '"http" is no number; write it as one, such as "8080:80"'],
    ["70000:80", "70000 is no port, they end at 65535"],
  ])("%s is wrong, and which number of it", (port, why) => {
    expect(errorsOf(web(`    ports: [${port}]\n`))).toEqual([`4:13: containers.web.ports[0]: found "${port}": ${why}`]);
  });

  test.each(["0-3:80-83", "80:0", "127.0.0.1:80", "80:80/icmp", "1-2:1-3", "9-8:9-8", "1.2.3:80:80", "::1:80:80"])(
    "%s is wrong",
    (port) => {
      expect(errorsOf(web(`    ports: ["${port}"]\n`))).toEqual([
        expect.stringMatching(/^4:13: containers\.web\.ports\[0\]: found ".*", allowed is \[hostIP:\]host:container/),
      ]);
    },
  );

  test("may not be published twice, in a container or between two", () => {
    expect(errorsOf(web("    ports: [80:80, 127.0.0.1:80:81]\n"))).toEqual([
      "4:20: containers.web.ports[1]: host port 127.0.0.1:80/tcp is published twice",
    ]);
    expect(errorsOf(web("    ports: [80:80]\n  api: { command: [x], ports: [80:80] }\n"))).toEqual([
      "5:31: containers.api.ports: host port 80/tcp is published by web, too",
    ]);
    expect(errorsOf(web("    ports: [80:80, 80:80/udp, 127.0.0.1:81:81, 127.0.0.2:81:81]\n"))).toEqual([]);
  });

  test.each(["host", "none", "container:api"])("do not go with network: %s", (mode) => {
    expect(errorsOf(web(`    network: ${mode}\n    ports: [80:80]\n  api: { command: [x] }\n`))).toEqual([
      `5:12: containers.web.ports: ports go with network: bridge alone, and this container has network: ${mode}`,
    ]);
  });
});
