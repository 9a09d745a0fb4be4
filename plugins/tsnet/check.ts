/**
 * CHECK, GC and STATUS: every part in order, as a runtime asks the plugins of a list.
 *
 * @module
 */
import type { PluginCall } from "../../lib/cni/types.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import type { Kit } from "../../lib/plugin/kit.ts";
import { chooseOnce } from "./choice.ts";
import { inPart, openParts } from "./part.ts";

/** The first part that differs ends it. */
export async function check(call: PluginCall): Promise<void> {
  const kit: Kit = { firewall: chooseOnce() };
  for (const part of await openParts(call)) {
    await inPart(part, () => part.plugin.check(part.call(call.conf.prevResult), kit));
  }
}

/** Goes on past errors and tells them all. */
export async function gc(call: PluginCall): Promise<void> {
  const kit: Kit = { firewall: chooseOnce() };
  const attempts = new Attempts("GC tsnet");
  for (const part of await openParts(call)) {
    await attempts.try(() => inPart(part, () => part.plugin.gc(part.call(undefined), kit)));
  }
  attempts.finish();
}

/** The first part that is not ready ends it. */
export async function status(call: PluginCall): Promise<void> {
  const kit: Kit = { firewall: chooseOnce() };
  for (const part of await openParts(call)) {
    await inPart(part, () => part.plugin.status(part.call(undefined), kit));
  }
}
