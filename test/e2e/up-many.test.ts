/**
 * Many containers on many networks, up and down, twice. Fewer than people may have, so that all tests end soon; with
 * TSNET_MANY=1 it is 300 on 10.
 */
import { expect, test } from "vitest";
import type { Host } from "./host.ts";
import { inside, Project } from "./standalone.ts";
import { world } from "./world.ts";

const IS_FULL = process.env.TSNET_MANY === "1";
const NETWORKS = IS_FULL ? 10 : 4;
const EACH = IS_FULL ? 30 : 8;
/** Kilobytes. */
const MOST_MEMORY = 80 * 1024;

const namesOn = (network: number) => Array.from({ length: EACH }, (_, at) => `c${network}-${at}`);
const networks = Array.from({ length: NETWORKS }, (_, at) => at);

const YAML = `networks:
${networks.map((network) => `  n${network}: { subnet: 10.90.${network}.0/24 }`).join("\n")}
containers:
${networks.flatMap((network) => namesOn(network).map((name) => `  ${name}: { networks: [n${network}], command: [sleep, infinity] }`)).join("\n")}
`;

test(`${NETWORKS * EACH} containers on ${NETWORKS} networks, up and down twice: all names resolve, and nothing is left`, async () => {
  await using host = await world();
  const before = await host.snapshot();
  const project = await Project.create(host, "many", YAML);
  const seconds: number[] = [];
  for (const round of [1, 2]) {
    const from = performance.now();
    await project.raise();
    seconds.push((performance.now() - from) / 1000);
    expect(new Set((await project.ps()).map(({ status }) => status))).toEqual(new Set(["running"]));
    expect(await unresolved(host), `round ${round}`).toEqual(networks.map(() => ""));
    const { own: kilobytes, resident } = await memoryOf(host);
    console.log(
      `round ${round}: up in ${seconds.at(-1)?.toFixed(1)} s, the helper holds ${(kilobytes / 1024).toFixed()} MB of its own, ${(resident / 1024).toFixed()} MB with the program's file`,
    );
    expect(kilobytes).toBeLessThan(MOST_MEMORY);
    await project.down("-t", "0");
    expect(await host.snapshot(), `round ${round}`).toBe(before);
  }
  const [first = 0, second = 0] = seconds;
  // What grew with every run would show; a busy machine may not.
  expect(second).toBeLessThan(2 * first + 5);
}, 900_000);

/** Of each network the names that its first container finds no address for. */
function unresolved(host: Host): Promise<readonly string[]> {
  const look = (network: number) => {
    const script = `for name in ${namesOn(network).join(" ")}; do getent ahostsv4 $name >/dev/null || echo $name; done`;
    return inside(host, `c${network}-0`, "sh", "-c", script);
  };
  return Promise.all(networks.map(look));
}

/** Kilobytes of the helper: its own, and resident with what it shares with others. */
async function memoryOf(host: Host): Promise<{ readonly own: number; readonly resident: number }> {
  const rollup = await host.sh("cat /proc/$(pgrep -x tsnet-helper)/smaps_rollup");
  const of = (key: string) => Number(new RegExp(`^${key}: +(\\d+) kB$`, "m").exec(rollup)?.[1]);
  return { own: of("Private_Clean") + of("Private_Dirty"), resident: of("Rss") };
}
