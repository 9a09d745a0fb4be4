/**
 * `tsnet proxy` that audits as often as a test can wait for: the first argument is the directory of manifests.
 */

import { openLog } from "../../../lib/daemon/log.ts";
import { settingsFrom } from "../../../proxy/config/flags.ts";
import { runProxy } from "../../../proxy/run.ts";

const flags = {
  "proxy-mode": ["nftables"],
  "hostname-override": ["n1"],
  manifests: [process.argv[2] ?? ""],
};
process.exit(await runProxy(settingsFrom(flags), openLog({ format: "text", verbosity: 4 }), { auditPeriod: 500 }));
