/**
 * DEL and GC: with no agent, no subnet.env and no container left they find all that an ADD made, flannel's plugin's too.
 *
 * @module
 */
import { keptAttachments } from "../../lib/cni/attachments.ts";
import { delegate } from "../../lib/cni/delegate.ts";
import type { PluginCall } from "../../lib/cni/types.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import { typeOf, withConf } from "./attach.ts";
import { parseConfig } from "./config.ts";
import { readFlannelConf, removeFlannelConf, removeFlannelConfs } from "./flannel.ts";
import { delegateConf, passedOn } from "./plan.ts";
import { envIfThere } from "./ready.ts";
import { forgetOthers, withRecord } from "./record.ts";

/** Takes the container away by the config that it was attached with; where there is none on record, by the network's. */
export async function del(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  await withRecord(call.attachment, async (record) => {
    const ours = record.read();
    const flannels = ours === undefined ? readFlannelConf(config.flannelDir, call.containerId) : undefined;
    const found = ours ?? flannels ?? delegateConf(call, config, { env: envIfThere(config), taken: [] });
    const conf = { ...found, ...passedOn(call) };
    await delegate("DEL", typeOf(conf, config), withConf(call, conf), record.fd);
    if (flannels !== undefined) removeFlannelConf(config.flannelDir, call.containerId);
    record.remove();
  });
}

/** Takes away what is of this network and of no attachment in the list. */
export async function gc(call: PluginCall): Promise<void> {
  const config = parseConfig(call);
  const { name: network } = call.conf;
  const keep = keptAttachments(call.conf);
  if (keep === undefined) return;
  const conf = delegateConf(call, config, { env: envIfThere(config), taken: [] });
  const attempts = new Attempts("GC overlay");
  // First: what a killed ADD's orphan is still making would be missed.
  await attempts.try(() => forgetOthers(network, keep));
  await attempts.try(() => delegate("GC", config.type, withConf(call, conf)));
  await attempts.try(() =>
    removeFlannelConfs(config.flannelDir, network, new Set(keep.map(({ containerId }) => containerId))),
  );
  attempts.finish();
}
