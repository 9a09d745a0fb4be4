/**
 * Look-ups of a container's name from inside a container: ours, aardvark-dns and dnsmasq, each as it is set up for
 * containers.
 *
 * Ours answers on the container's own loopback. aardvark-dns is started by netavark, as podman does it, and answers on
 * the bridge; dnsmasq answers beside it, set up as podman's plugin dnsname did, with a file of hosts. One blocking
 * client asks all of them for the same names, in turns.
 *
 * @module
 */
import { median } from "../table.ts";
import { Asker, questionFor, type Server } from "./asker.ts";
import { Ground, rootOf, SERVER } from "./ground.ts";
import { describe, GATEWAY } from "./netavark.ts";
import { pathOf } from "./peers.ts";

/** Who is asked. */
export type Asked = "ours" | "aardvark-dns" | "dnsmasq";
export const PEERS = ["aardvark-dns", "dnsmasq"] as const satisfies readonly Asked[];

const CONTAINERS = Array.from({ length: 10 }, (_, number) => `c${number}`);
/** Look-ups of one server before it is the next one's turn; a round is the middle one of these. */
const LOOKUPS = 500;
const OUR_SUBNET = "10.90.1.0/24";
/** Where our resolver is in every container. */
const OUR_RESOLVER = "127.0.0.11";
const DNS_PORT = 53;
const DNSMASQ_PORT = 5353;
const PATIENCE_MS = 5000;

/** A name server, and the names that it knows with their addresses. */
interface Choice extends Server {
  readonly names: readonly (readonly [name: string, address: string])[];
}

/** µs of each round, by who was asked; nothing of a peer that is not there. */
export async function lookups(
  rounds: number,
  ours: string,
  peers: readonly Asked[],
): Promise<ReadonlyMap<Asked, number[]>> {
  // Hosts of their own: rules of one side would cost the other's packets.
  await using mine = await Ground.make();
  await using theirs = await Ground.make();
  const choices = new Map<Asked, Choice>([["ours", await tsnet(mine, ours)]]);
  if (peers.length > 0) {
    const isThere = peers.includes("aardvark-dns");
    const aardvark = await podmanNetwork(theirs, isThere);
    if (isThere) choices.set("aardvark-dns", await whenReady(aardvark));
    if (peers.includes("dnsmasq")) choices.set("dnsmasq", await startDnsmasq(theirs, aardvark));
  }
  const times = new Map<Asked, number[]>();
  const names = [...choices.keys()];
  for (const name of names) times.set(name, []);
  // What is compiled while it runs has been by then.
  for (let round = -2; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const choice = choices.get(name);
      const us = choice === undefined ? null : lookUp(choice);
      if (us !== null && round >= 0) times.get(name)?.push(us);
    }
  }
  return times;
}

/** The middle one of many look-ups, in µs. */
function lookUp({ names, ...server }: Choice): number | null {
  using asker = new Asker(server);
  const questions = names.map(([name, address]) => ({ question: questionFor(name), address }));
  const times: number[] = [];
  while (times.length < LOOKUPS) {
    for (const { question, address } of questions) times.push(asker.ask(question, address));
  }
  return median(times);
}

async function tsnet({ host, open }: Ground, program: string): Promise<Choice> {
  const lines = CONTAINERS.map(
    (name) => `  ${name}: { rootfs: ${rootOf("ours")}, networks: [n], command: ${JSON.stringify(SERVER)} }\n`,
  );
  await host.ok(["tee", "/run/tsnet.yaml"], {
    stdin: `networks: { n: { subnet: ${OUR_SUBNET} } }\ncontainers:\n${lines.join("")}`,
  });
  const shown = JSON.parse(await host.ok([program, "up", "-f", "/run/tsnet.yaml", "-o", "json"])) as readonly {
    readonly name: string;
    readonly interfaces: readonly { readonly addresses: readonly string[] }[];
  }[];
  const names = shown.map(({ name, interfaces }) => [name, bare(interfaces[0]?.addresses[0])] as const);
  const [asking = ""] = (await host.sh("ls /run/netns | grep -x '.*c0'")).trim().split("\n");
  return { netns: open(asking), address: OUR_RESOLVER, port: DNS_PORT, names };
}

/** One namespace for each of the containers, as podman has netavark set them up: that starts aardvark-dns with `dns`. */
async function podmanNetwork({ host, open }: Ground, dns: boolean): Promise<Choice> {
  const netavark = pathOf("netavark");
  await host.ok(["mkdir", "-p", "/run/netavark"]);
  const names: (readonly [string, string])[] = [];
  for (const [at, name] of CONTAINERS.entries()) {
    const { stdin, address } = describe({ id: name, number: at, dns, ports: [] });
    const path = await host.addNetns(name);
    const flags = ["--config", "/run/netavark", ...(dns ? ["--aardvark-binary", pathOf("aardvark-dns")] : [])];
    await host.ok([netavark, ...flags, "setup", path], { stdin });
    names.push([name, address]);
  }
  return { netns: open("c0"), address: GATEWAY, port: DNS_PORT, names };
}

/** On the same bridge: an address and a port that no other has. */
async function startDnsmasq({ host }: Ground, { netns, names }: Choice): Promise<Choice> {
  await host.ok(["tee", "/run/dnsmasq.hosts"], {
    stdin: names.map(([name, address]) => `${address} ${name}\n`).join(""),
  });
  host.spawn([
    pathOf("dnsmasq"),
    ...["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=/run/dnsmasq.pid"],
    ...["--no-hosts", "--no-resolv", "--local=/dns.podman/", "--domain=dns.podman", "--expand-hosts"],
    ...[
      "--addn-hosts=/run/dnsmasq.hosts",
      `--listen-address=${GATEWAY}`,
      "--bind-interfaces",
      `--port=${DNSMASQ_PORT}`,
    ],
  ]);
  return await whenReady({ netns, address: GATEWAY, port: DNSMASQ_PORT, names });
}

/** The first answer may be that nobody is there yet. */
async function whenReady(choice: Choice): Promise<Choice> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      lookUp(choice);
      return choice;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await Bun.sleep(50);
    }
  }
}

function bare(address = ""): string {
  return address.replace(/\/\d+$/, "");
}
