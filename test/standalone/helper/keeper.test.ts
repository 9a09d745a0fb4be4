import { expect, test } from "vitest";
import { unitCommand } from "../../../standalone/helper/keeper.ts";

test("systemd gets a transient unit that is started again after any end but a good one, and that is gone then", () => {
  expect(unitCommand("/run/tsnet/tsnet-helper").join("\n")).toBe(
    `
--quiet
--collect
--unit=tsnet-helper
--description=tsnet: names, ports and repair of containers
--property=Restart=on-failure
--property=RestartSec=100ms
--property=StartLimitIntervalSec=0
--property=RestartPreventExitStatus=3 203
--setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
/run/tsnet/tsnet-helper`.trim(),
  );
});
