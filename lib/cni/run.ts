/**
 * A plugin's process: from the environment to an exit code.
 *
 * VERSION is what runtimes ask most and wants nothing but the environment, so this file stands on the list of
 * versions and the standard streams alone; whatever carries a config goes on in `serve.ts`, loaded then.
 *
 * @module
 */
import { writeStderr, writeStdout } from "../sys/stdio.ts";
import { CNI_VERSIONS, NEWEST_VERSION } from "./supported.ts";
import type { Plugin } from "./types.ts";

/**
 * Answers one call of a plugin, as the environment asks, and returns the exit code. Result and error go to standard
 * output, everything else to standard error.
 *
 * @param serve answers the verbs that carry a config: see `serve.ts`.
 */
export async function runPlugin(
  { name, versions = CNI_VERSIONS }: Pick<Plugin, "name" | "versions">,
  serve: (versions: readonly string[]) => Promise<number>,
): Promise<number> {
  switch (process.env.CNI_COMMAND ?? "") {
    case "VERSION":
      writeStdout(`${JSON.stringify({ cniVersion: NEWEST_VERSION, supportedVersions: versions })}\n`);
      return 0;
    case "":
      writeStderr(`CNI ${name} plugin of tsnet\nCNI protocol versions supported: ${versions.join(", ")}\n`);
      return 0;
    default:
      return await serve(versions);
  }
}
