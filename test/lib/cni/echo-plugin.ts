/**
 * A plugin for tests of `runPlugin`, run as a process: ADD answers with what it was called with, the other verbs
 * say on standard error that they were called.
 */
import { runPlugin } from "../../../lib/cni/run.ts";
import { serve } from "../../../lib/cni/serve.ts";
import type { Plugin, PluginCall } from "../../../lib/cni/types.ts";
import { TsnetError } from "../../../lib/errors.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";

function say(call: PluginCall): void {
  const { command, attachment, netns, path, args, conf } = call;
  const { prevResult, validAttachments } = conf;
  console.error(JSON.stringify({ command, attachment, netns, path, args, prevResult, validAttachments }));
}

const wish = process.env.ECHO ?? "";

const plugin: Plugin = {
  name: "echo",
  ...(wish === "old" ? { versions: ["0.3.0", "0.4.0"] } : {}),
  add(call) {
    say(call);
    if (wish === "fail") throw new TsnetError("echo failed", { code: "busy", details: "on purpose" });
    const ips = wish === "bare" ? [] : [{ address: parseCidr("10.1.0.5/24") }];
    return { interfaces: [{ name: call.ifname }], ips, routes: [], dns: {} };
  },
  del: say,
  check: say,
  gc: say,
  status: say,
};

process.exit(await runPlugin(plugin, (versions) => serve(plugin, versions)));
