/**
 * DEL: every part, last one first, whatever becomes of the others. Their rules go in one transaction and their links
 * in one message to the kernel, at the same time; what has to wait for both, such as freeing the address, comes last.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import type { Part as FilterPart } from "../../lib/firewall/types.ts";
import { Attempts } from "../../lib/plugin/attempts.ts";
import { parsePart, partsIn } from "./config.ts";
import { inPart, openPart, type Part } from "./part.ts";
import { Removals } from "./removals.ts";
import type { PartType } from "./types.ts";

export async function del(call: PluginCall): Promise<void> {
  const attempts = new Attempts("DEL tsnet");
  const parts: Part[] = [];
  for (const raw of partsIn(call)) {
    await attempts.try(async () => parts.push(await openPart(call, parsePart(call, raw))));
  }
  await attempts.try(() => remove(call, parts, call.conf.prevResult));
  attempts.finish();
}

/** Removes what `parts` made. @throws Error what failed, all of it. */
export async function remove(call: PluginCall, parts: readonly Part[], result: CniResult | undefined): Promise<void> {
  if (parts.length === 0) return;
  const attempts = new Attempts("DEL tsnet");
  using removals = new Removals(
    call.attachment,
    parts.some(({ type }) => type === "bridge"),
  );
  await removals.begin(
    parts.flatMap(({ type }) => RULES[type] ?? []),
    attempts,
  );
  for (const part of parts.toReversed()) {
    await attempts.try(() => inPart(part, () => part.plugin.del(part.call(result), removals.kit)));
  }
  await removals.finish(attempts);
  attempts.finish();
}

/** The rules that a part may have made, whatever its config says by now. */
const RULES: Readonly<Partial<Record<PartType, FilterPart>>> = {
  bridge: "masquerade",
  portmap: "publish",
  firewall: "forward",
};
