/**
 * ADD: every part in order, each with the result of the one before, in one process. What any of them fails at takes
 * back what all of them did.
 *
 * @module
 */
import type { CniResult, PluginCall } from "../../lib/cni/types.ts";
import { encodeResult, parseResult } from "../../lib/cni/versions.ts";
import { TsnetError } from "../../lib/errors.ts";
import type { FilterWishes, Kit } from "../../lib/plugin/kit.ts";
import { Undo } from "../../lib/undo.ts";
import { chooseOnce } from "./choice.ts";
import { inPart, openParts, type Part, validateParts } from "./part.ts";
import { Rules } from "./rules.ts";

export async function add(call: PluginCall): Promise<CniResult> {
  const parts = await openParts(call);
  const { prevResult } = call.conf;
  await validateParts(call, parts);
  const rules = new Rules(call.attachment, chooseOnce());
  const done: Part[] = [];
  let result = prevResult;
  try {
    for (const [index, part] of parts.entries()) {
      const kit = kitFor(rules, call, parts.slice(index + 1));
      const added = await inPart(part, () => part.plugin.add(part.call(result), kit));
      done.push(part);
      result = asHandedOn(added, call);
    }
    await rules.finish();
  } catch (error) {
    throw await takeBack(error, { call, rules, done, result });
  }
  if (result === undefined) throw new TsnetError("no part gave a result", { code: "invalid", op: "ADD" });
  return result;
}

function kitFor(rules: Rules, call: PluginCall, behind: readonly Part[]): Kit {
  return {
    firewall: (wanted) => rules.firewall(wanted),
    foresee: async (result) => rules.foresee(await wishesOf(behind, asHandedOn(result, call))),
  };
}

async function wishesOf(parts: readonly Part[], result: CniResult): Promise<readonly FilterWishes[]> {
  const wishes = await Promise.all(
    parts.map((part) => inPart(part, async () => part.plugin.foreseen?.(part.call(result)))),
  );
  return wishes.filter((one) => one !== undefined);
}

/** What a version cannot carry the next plugin of a list would not see either. */
function asHandedOn(result: CniResult, { conf: { cniVersion } }: PluginCall): CniResult {
  return parseResult(encodeResult(result, cniVersion), cniVersion);
}

interface HalfDone {
  readonly call: PluginCall;
  readonly rules: Rules;
  readonly done: readonly Part[];
  readonly result: CniResult | undefined;
}

async function takeBack(error: unknown, { call, rules, done, result }: HalfDone): Promise<unknown> {
  const undo = new Undo();
  undo.add("what was added", async () => (await import("./del.ts")).remove(call, done, result));
  undo.add("the rules", () => rules.takeBack());
  return await undo.unwind(error);
}
