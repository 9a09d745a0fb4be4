/**
 * ADDs that are killed in the middle.
 *
 * @module
 */
import { type Host, PLUGINS } from "./host.ts";

export interface Killing {
  readonly plugin: string;
  readonly conf: object;
  /** A system call. */
  readonly call: string;
  /** The how manieth of it, from 1 on, of each thread. */
  readonly nth: number;
}

/** Runs ADD of c1 and has the kernel kill whichever of its threads or children makes that call; false if it ended by itself. */
export async function killedAt(host: Host, { plugin, conf, call, nth }: Killing): Promise<boolean> {
  const trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`];
  const inject = ["-e", `inject=${call}:signal=SIGKILL:when=${nth}`];
  const { exitCode } = await host.run([...trace, ...inject, `${PLUGINS}/${plugin}`], {
    stdin: JSON.stringify(conf),
    env: {
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/c1",
      CNI_IFNAME: "eth0",
      CNI_PATH: PLUGINS,
    },
  });
  return exitCode !== 0;
}
