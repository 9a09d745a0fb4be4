/**
 * Plugin calls as a runtime makes them, and how long they take: from before the process is made until it has
 * been waited for and its output read to the end. A plugin that leaves a child behind with its output open is
 * waited for as well.
 *
 * @module
 */

/** One of the two that are compared: its plugins, and names that keep it apart from the other. */
export interface Side {
  readonly name: "ours" | "peer";
  /** Where its plugins are; it is also CNI_PATH. */
  readonly directory: string;
  readonly bridge: string;
  /** The network's name in configs and in the address store. */
  readonly network: string;
  /** The first three numbers of its /24. */
  readonly prefix: string;
}

export interface Container {
  readonly id: string;
  /** Path of its namespace. */
  readonly netns: string;
  /** `eth0` unless given. */
  readonly ifname?: string;
}

/** A plugin's config less what every plugin of a list shares. */
export type PluginConf = Readonly<Record<string, unknown>> & { readonly type: string };

export interface Attached {
  /** The last plugin's result. */
  readonly result: CniJson;
  /** What the list took, all its calls together. */
  readonly ms: number;
  /** The most memory that one of them held, in bytes; of programs that it ran the greatest counts. */
  readonly bytes: number;
}

export type CniJson = Readonly<Record<string, unknown>>;

const VERSION = "1.0.0";

/** ADD of a whole list, one plugin after the other, each with the result of the one before. */
export async function addList(side: Side, list: readonly PluginConf[], container: Container): Promise<Attached> {
  let result: CniJson | undefined;
  let ms = 0;
  let bytes = 0;
  for (const conf of list) {
    const call = await timed(side, { verb: "ADD", conf, container, ...(result === undefined ? {} : { result }) });
    result = JSON.parse(call.stdout) as CniJson;
    ms += call.ms;
    bytes = Math.max(bytes, call.bytes);
  }
  return { result: result ?? {}, ms, bytes };
}

/** DEL of a whole list, backwards, each with the last result. Returns what the calls took together. */
export async function delList(
  side: Side,
  list: readonly PluginConf[],
  { container, result }: { readonly container: Container; readonly result: CniJson },
): Promise<number> {
  let ms = 0;
  for (const conf of [...list].reverse()) ms += (await timed(side, { verb: "DEL", conf, container, result })).ms;
  return ms;
}

/** GC of one plugin's network with nobody left: all that it made goes. */
export async function collectAll(side: Side, conf: PluginConf): Promise<void> {
  const nobody = { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] };
  await timed(side, { verb: "GC", conf: { ...conf, ...nobody }, container: { id: "", netns: "" } });
}

/** What starting and ending a process costs here in itself. */
export async function timeProgram(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return await spawnToExit(argv, env, "");
}

interface Call {
  readonly verb: "ADD" | "DEL" | "GC";
  readonly conf: PluginConf;
  readonly container: Container;
  readonly result?: CniJson;
}

async function timed(side: Side, { verb, conf, container, result }: Call) {
  const prevResult = result === undefined ? {} : { prevResult: result };
  const stdin = JSON.stringify({ cniVersion: VERSION, name: side.network, ...conf, ...prevResult });
  const env = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: container.id,
    CNI_NETNS: container.netns,
    CNI_IFNAME: container.ifname ?? "eth0",
    CNI_PATH: side.directory,
  };
  const ended = await spawnToExit([`${side.directory}/${conf.type}`], env, stdin);
  if (ended.exitCode !== 0) {
    throw new Error(
      `${side.name}: ${verb} by ${conf.type} ended with ${ended.exitCode}: ${ended.stdout}${ended.stderr}`,
    );
  }
  return ended;
}

async function spawnToExit(argv: readonly string[], env: Readonly<Record<string, string>>, stdin: string) {
  const input = Buffer.from(stdin);
  const path = process.env.PATH ?? "";
  const start = performance.now();
  const child = Bun.spawn([...argv], { stdio: [input, "pipe", "pipe"], env: { PATH: path, ...env }, cwd: "/" });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const ms = performance.now() - start;
  return { ms, stdout, stderr, exitCode, bytes: child.resourceUsage()?.maxRSS ?? 0 };
}
