/**
 * Who reaches whom, in what size and as whom: every container every other, by ping of the full size and by TCP, and
 * every host every container.
 *
 * @module
 */
import type { Container } from "./container.ts";
import type { OverlayHost } from "./overlay-host.ts";
import { FAMILIES, type Family, OUTSIDE } from "./world.ts";

/** What an IP and an ICMP header take, in bytes. */
const HEADERS: Readonly<Record<Family, number>> = { 4: 28, 6: 48 };
const IPERF_PORT = 5201;

/**
 * Pings with a don't-fragment packet of exactly `mtu` bytes, from every container to every other.
 *
 * @returns a line for each that was not answered: `a/a1 to d/d1 over IPv4`
 */
export async function unreachedByPing(
  containers: readonly Container[],
  mtu: number,
  families: readonly Family[] = FAMILIES,
): Promise<readonly string[]> {
  const all = containers.map(async (from) => {
    const lines = ways(from, containers, families).map(({ to, family }) => {
      const ping = `ping -n -q -c 1 -W 2 -M do -s ${mtu - HEADERS[family]} ${to.address(family)}`;
      return `${ping} >/dev/null 2>&1 || echo '${from} to ${to} over IPv${family}'`;
    });
    return linesOf(await from.sh(lines.join("\n")));
  });
  return (await Promise.all(all)).flat();
}

/** The same by small pings from the hosts themselves to the containers of others. */
export async function unreachedByHosts(
  hosts: readonly OverlayHost[],
  containers: readonly Container[],
  families: readonly Family[] = FAMILIES,
): Promise<readonly string[]> {
  const all = hosts.map(async (from) => {
    const lines = containers.flatMap((to) =>
      families.map((family) => {
        const ping = `ping -n -q -c 1 -W 2 ${to.address(family)}`;
        return `${ping} >/dev/null 2>&1 || echo 'host ${from.name} to ${to} over IPv${family}'`;
      }),
    );
    return linesOf(await from.sh(lines.join("\n")));
  });
  return (await Promise.all(all)).flat();
}

/** Whether a packet of a byte more than `mtu` is refused where it is sent, as it has to be. */
export async function refusesMore(container: Container, to: Container, mtu: number, family: Family): Promise<boolean> {
  const size = String(mtu - HEADERS[family] + 1);
  const argv = ["ping", "-n", "-c", "1", "-W", "0.2", "-M", "do", "-s", size, to.address(family)];
  const { exitCode, stdout, stderr } = await container.run(argv);
  return exitCode !== 0 && /too long|too large/i.test(stdout + stderr);
}

/**
 * Sends half a megabyte by iperf3 from every container to every other.
 *
 * @returns a line for each that failed, or whom the other saw with an address that is not its own
 */
export async function unreachedByTcp(
  containers: readonly Container[],
  families: readonly Family[] = FAMILIES,
): Promise<readonly string[]> {
  const servers = containers.map((container) => {
    const argv = ["ip", "netns", "exec", container.name, "iperf3", "-s", "-p", String(IPERF_PORT)];
    return container.on.host.spawn(argv);
  });
  try {
    const found: string[] = [];
    await Promise.all(containers.map((container) => listening(container)));
    // A server takes one test at a time: in each round every container has one client.
    for (const family of families) {
      for (let round = 1; round < containers.length; round++) {
        const lines = containers.map((from, index) => {
          const to = containers[(index + round) % containers.length];
          return to === undefined ? undefined : tcp(from, to, family);
        });
        found.push(...(await Promise.all(lines)).filter((line) => line !== undefined));
      }
    }
    return found;
  } finally {
    await Promise.all(containers.map((container) => container.on.sh(killIn(container.name))));
    await Promise.all(servers.map((server) => server.exited));
  }
}

/** Whom the machine outside sees when `container` asks it: the address of that host, if it is masqueraded. */
export async function seenOutside(container: Container, family: Family): Promise<boolean> {
  return await container.pings(OUTSIDE[family], 2);
}

function ways(from: Container, containers: readonly Container[], families: readonly Family[]) {
  return containers.filter((to) => to !== from).flatMap((to) => families.map((family) => ({ to, family })));
}

async function tcp(from: Container, to: Container, family: Family): Promise<string | undefined> {
  const way = `${from} to ${to} by TCP over IPv${family}`;
  const target = ["-c", to.address(family), "-p", String(IPERF_PORT), "-n", "512K", "--connect-timeout", "3000"];
  const { exitCode, stdout, stderr } = await from.run(["iperf3", ...target, "-J", "--get-server-output"]);
  if (exitCode !== 0) return `${way}: ${/"error":\s*"([^"]*)"/.exec(stdout)?.[1] ?? stderr}`;
  const seen = /Accepted connection from ([0-9a-f.:]+),/.exec(stdout)?.[1];
  return seen === from.address(family) ? undefined : `${way} is seen as ${seen}`;
}

async function listening(container: Container): Promise<void> {
  await container.sh(`until ss -Hltn 'sport = :${IPERF_PORT}' | grep -q .; do sleep 0.02; done`);
}

function killIn(netns: string): string {
  return `for pid in $(ip netns pids ${netns}); do [ "$(cat /proc/$pid/comm 2>/dev/null)" != iperf3 ] || kill $pid; done`;
}

function linesOf(text: string): readonly string[] {
  return text.split("\n").filter(Boolean);
}
