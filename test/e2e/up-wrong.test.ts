/** What people get wrong at three in the morning, and what they are told: every word of it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Host, TSNET } from "./host.ts";
import { Project } from "./standalone.ts";
import { world } from "./world.ts";

const GOOD = `
networks: { front: { subnet: 10.88.1.0/24 } }
containers:
  web: { networks: [front], ports: ["8080:80"], command: [sleep, infinity] }
`;

/** Types a command in the project's folder. */
function type(host: Host, { folder }: Project, ...argv: readonly string[]) {
  return host.run(["sh", "-c", 'cd "$0" && exec "$@"', folder, ...argv]);
}

describe("a wrong file", () => {
  let host: Host;
  let before: string;

  beforeAll(async () => {
    host = await world();
    before = await host.snapshot();
  });
  afterAll(() => host.destroy());

  test.each([
    [
      "with a service's name for a port",
      'containers:\n  web:\n    ports: ["8080:http"]\n    command: [sleep, infinity]\n',
      'tsnet.yaml:3:13: containers.web.ports[0]: found "8080:http": "http" is no number; write it as one, such as "8080:80"\n',
    ],
    [
      "with the same port twice",
      'containers:\n  web: { ports: ["8080:80"], command: [x] }\n  api: { ports: ["8080:3000"], command: [x] }\n',
      "tsnet.yaml:3:17: containers.api.ports: host port 8080/tcp is published by web, too\n",
    ],
    [
      "with ports and network host",
      'containers:\n  web:\n    network: host\n    ports: ["8080:80"]\n    command: [x]\n',
      "tsnet.yaml:4:12: containers.web.ports: ports go with network: bridge alone, and this container has network: host\n",
    ],
    [
      "that is indented by tabs",
      "containers:\n\tweb:\n\t\tcommand: [x]\n",
      "tsnet.yaml:2:1: a tab, and YAML is indented by spaces alone: replace all tabs\n",
    ],
    [
      "with a subnet that has host bits",
      "networks:\n  front: { subnet: 10.88.1.5/24 }\ncontainers:\n  web: { networks: [front], command: [x] }\n",
      "tsnet.yaml:2:20: networks.front.subnet: found 10.88.1.5/24, which has host bits set: write 10.88.1.0/24\n",
    ],
    [
      "with two networks that overlap",
      "networks:\n  front: { subnet: 10.88.0.0/16 }\n  back: { subnet: 10.88.1.0/24 }\ncontainers:\n  web: { networks: [front, back], command: [x] }\n",
      "tsnet.yaml:3:19: networks.back.subnet: 10.88.1.0/24 overlaps with 10.88.0.0/16 of network front: choose another\n",
    ],
    [
      "with keys that are one letter off",
      'containers:\n  web:\n    port: ["8080:80"]\n    comand: [x]\n',
      'tsnet.yaml:3:5: containers.web.port: unknown key "port", did you mean "ports"?\n' +
        '  tsnet.yaml:4:5: containers.web.comand: unknown key "comand", did you mean "command"?\n',
    ],
    [
      "with a container of a missing container",
      "containers:\n  web: { command: [x] }\n  api: { network: container:wbe, command: [x] }\n",
      'tsnet.yaml:3:19: containers.api.network: unknown container "wbe", did you mean "web"?; there are web\n',
    ],
    [
      "with a command as a shell has it",
      'containers:\n  web:\n    command: busybox httpd -f -p 80\n  api:\n    command: sleep 1 && echo "done"\n',
      'tsnet.yaml:3:14: containers.web.command: found "busybox httpd -f -p 80", allowed is a list of program and arguments, such as [busybox, httpd, -f, -p, "80"]\n' +
        '  tsnet.yaml:5:14: containers.api.command: found "sleep 1 && echo \\"done\\"", allowed is a list of program and arguments, such as [sh, -c, "sleep 1 && echo \\"done\\""]\n',
    ],
    [
      "that is a compose file's",
      'version: "3"\nservices:\n  web:\n    image: nginx\n    restart: always\n    depends_on: [db]\n    volumes: ["./www:/srv"]\n    command: [x]\n',
      "tsnet.yaml:1:1: version: no key of tsnet's: leave it out\n" +
        "  tsnet.yaml:2:1: services: no key of tsnet's: write containers\n" +
        "  tsnet.yaml:4:5: services.web.image: no key of tsnet's: there are no images: name a command, and with rootfs the folder that is its root\n" +
        "  tsnet.yaml:5:5: services.web.restart: no key of tsnet's: tsnet is no process supervisor: run it in a systemd unit with Restart=\n" +
        "  tsnet.yaml:6:5: services.web.depends_on: no key of tsnet's: leave it out: all are started at once, and find each other by name\n" +
        "  tsnet.yaml:7:5: services.web.volumes: no key of tsnet's: write mounts, with HOST-PATH:PATH[:ro] each\n",
    ],
    [
      "with what else a compose file has",
      "volumes: { data: }\nnetworks: { front: { name: shop, attachable: true } }\ncontainers:\n  web: { networks: [front], tty: true, command: [x] }\n",
      "tsnet.yaml:1:1: volumes: no key of tsnet's: leave it out: there are no volumes, and mounts name the host's paths\n" +
        "  tsnet.yaml:2:22: networks.front.name: no key of tsnet's: it is called as its key is\n" +
        "  tsnet.yaml:2:34: networks.front.attachable: no key of tsnet's: leave it out: every container may be on it\n" +
        "  tsnet.yaml:4:29: containers.web.tty: no key of tsnet's: leave it out: tsnet exec and tsnet run have a terminal and standard input, where you have them\n",
    ],
    [
      "with a network where its kind belongs",
      "networks: { front: }\ncontainers:\n  web: { network: front, command: [x] }\n",
      'tsnet.yaml:3:19: containers.web.network: found "front", allowed is bridge, host, none or container:NAME; a network goes under networks: [NAME]\n',
    ],
  ])("%s is told so, and nothing is changed", async (_, yaml, message) => {
    const project = await Project.create(host, "wrong", yaml);
    expect(await type(host, project, TSNET, "up")).toEqual({ exitCode: 1, stdout: "", stderr: `tsnet: ${message}` });
    expect(await host.snapshot()).toBe(before);
  });
});

describe("a wrong command", () => {
  let host: Host;
  let project: Project;
  let then: string;

  beforeAll(async () => {
    host = await world();
    project = await Project.create(host, "hello", GOOD);
    await project.raise();
    await host.ok([TSNET, "network", "create", "mine"]);
    then = await host.snapshot();
  });
  afterAll(() => host.destroy());

  test.each([
    ["compose up", 2, "unknown command 'compose': leave it out: tsnet up and tsnet down work on a tsnet.yaml"],
    ["start web", 2, "unknown command 'start': tsnet up starts what a file says, tsnet run one container"],
    [
      "images",
      2,
      "unknown command 'images': there are no images: tsnet run COMMAND starts one on the host's root, or on that of --rootfs",
    ],
    [
      "run nginx-alpine",
      127,
      "container nginx-alpine: there is no program nginx-alpine in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin of the host's root; --rootfs names another. There are no images: name a command",
    ],
    [
      "run -p 8080:http true",
      125,
      '--publish: found "8080:http": "http" is no number; write it as one, such as "8080:80"',
    ],
    [
      "run -p 8080:80 true",
      125,
      "container true cannot have host port 8080/tcp: container web of project hello has it; choose another",
    ],
    [
      "run --restart always true",
      125,
      "--restart is not for tsnet run: tsnet is no process supervisor: run it in a systemd unit with Restart=",
    ],
    [
      "run -v data:/data true",
      125,
      "--volume data:/data: there are no volumes: write ./data for a folder here, or a whole path",
    ],
    ["run --network frnot true", 125, "no network frnot: there are hello.front, mine"],
    ["stop wbe", 1, "no container wbe (did you mean web?): there are web"],
    ["rm web", 1, "container web still runs: tsnet stop web first, or tsnet rm -f"],
    ["exec web", 2, "missing required argument 'command': see 'tsnet exec --help'"],
    ["up web", 2, "tsnet up takes no arguments, not 1: see 'tsnet up --help'"],
    ["network create host", 2, 'NETWORK: "host" is no network: give the container network: host'],
    [
      "network create new --subnet 10.88.1.5/24",
      2,
      "--subnet: found 10.88.1.5/24, which has host bits set: write 10.88.1.0/24",
    ],
    [
      "network rm hello.front",
      1,
      "network hello.front cannot be removed: it is of project hello: tsnet down --project hello",
    ],
  ])("tsnet %s: exit %d", async (line, code, message) => {
    const said = await type(host, project, TSNET, ...line.split(" "));
    expect(said).toEqual({ exitCode: code, stdout: "", stderr: `tsnet: ${message}\n` });
    expect(await host.snapshot()).toBe(then);
  });
});

describe("a host that lacks something", () => {
  const NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];

  test.each([
    ["no root", "true", NOBODY, "tsnet up makes namespaces, links and rules: run it as root"],
    ["no program of util-linux", hide("unshare"), [], "no program unshare in PATH: install it"],
    [
      "no iptables and no nft",
      hide("*tables*", "nft"),
      [],
      "there is no iptables on this host and no nftables: install one of them",
    ],
    [
      "a read-only /run",
      "mount -o remount,ro /run",
      [],
      "cannot make directory /run/tsnet: EROFS, it is on a file system that is mounted read-only: mount it for writing",
    ],
    [
      "a full /run",
      "mount -o remount,size=64k /run; dd if=/dev/zero of=/run/fill bs=1k 2>/dev/null || true",
      [],
      "cannot write /run/tsnet/networks/hello.front.json: ENOSPC, the file system is full: make room there",
    ],
  ] as const)("%s is told so, and nothing is changed", async (_, prepare, before, message) => {
    await using host = await world();
    const project = await Project.create(host, "hello", GOOD);
    const then = await host.snapshot();
    await host.sh(prepare);
    const said = await type(host, project, ...before, TSNET, "up");
    expect(said).toEqual({ exitCode: 1, stdout: "", stderr: `tsnet: ${message}\n` });
    expect(await host.snapshot()).toBe(then);
  });

  test("no iptables, but nft, is enough", async () => {
    await using host = await world();
    const project = await Project.create(host, "hello", GOOD);
    await host.sh(hide("*tables*"));
    expect(await project.raise()).toMatch(/^web +running/m);
    expect(await host.ok(["nft", "list", "tables"])).toContain("table inet tsnet\n");
    await project.down();
  });

  test.each(["ps", "logs web", "network ls"])("no root is told so by tsnet %s", async (line) => {
    await using host = await world();
    const project = await Project.create(host, "hello", GOOD);
    await project.raise();
    expect(await type(host, project, ...NOBODY, TSNET, ...line.split(" "))).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: "tsnet: cannot list /run/tsnet/containers: EACCES (run it as root)\n",
    });
    await project.down();
  });
});

/** A script that takes programs away from a host. */
function hide(...patterns: readonly string[]): string {
  const folders = "/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin";
  return `for dir in $(for d in ${folders}; do readlink -f $d; done | sort -u); do
    over=/run/.hidden$dir; mkdir -p $over/upper $over/work
    mount -t overlay overlay -o lowerdir=$dir,upperdir=$over/upper,workdir=$over/work $dir
    rm -f ${patterns.map((pattern) => `$dir/${pattern}`).join(" ")}
  done`;
}
