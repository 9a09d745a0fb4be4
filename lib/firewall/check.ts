/**
 * Check: what the wishes mean is still in the kernel.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import type { FirewallHost } from "./host.ts";
import { planEntries, withElsewhere } from "./plan.ts";
import { describe, type EngineName, type Entry, tagOf } from "./record.ts";
import { ensureForwarding, missingSysctls } from "./sysctls.ts";
import type { Attachment, Wishes } from "./types.ts";

/** @throws TsnetError `check-failed`, naming what is missing. */
export async function check(host: FirewallHost, attachment: Attachment, asked: Wishes): Promise<void> {
  const wishes = withElsewhere(host, attachment, asked);
  const tag = tagOf(attachment);
  const names = host.state.names().filter((name) => name.tag === tag);
  const known = host.state.read(names);
  // Where ADD put it, which may be another engine than today's choice.
  const engineOf = (part: Entry["part"]): EngineName => {
    const found = names.find((name) => name.part === part)?.engine;
    return found === undefined || found === "firewalld" ? host.chosen : found;
  };
  const entries: Entry[] = [];
  for (const part of ["masquerade", "publish"] as const) {
    const wish = wishes[part];
    if (wish === undefined) continue;
    entries.push(...planEntries(await host.engine(engineOf(part)), attachment, { [part]: wish }));
  }
  if (wishes.accept !== undefined) {
    const { planAccept } = await import("./accept.ts");
    entries.push(...(await planAccept(host, attachment, wishes.accept)));
  }
  if (wishes.forward !== undefined) {
    const { planForwardAgain } = await import("./forward.ts");
    entries.push(...(await planForwardAgain(host, attachment, wishes.forward)));
  }
  for (const entry of entries) {
    const missing = await (await host.keeper(entry.engine)).missing([entry]);
    if (missing.length > 0) throw failed(attachment, entry, missing);
  }
  for (const entry of known) if (entry.forwarding && wishes[entry.part] !== undefined) ensureForwarding(entry.families);
  const sysctls = wishes.publish === undefined ? [] : missingSysctls(host.state, known);
  if (sysctls.length > 0) throw failed(attachment, { part: "publish" }, sysctls);
}

/** @throws TsnetError `not-found` or `kernel-lacks` if the chosen engine does not work here. */
export async function ensureUsable(host: FirewallHost): Promise<void> {
  if (host.chosen === "nftables") {
    await (await host.tools.nft()).tables();
  } else if ((await host.tools.detectVariant()) === undefined) {
    const more = host.tools.hasNft()
      ? ": install it, or choose the back end nftables"
      : " and no nftables: install one of them";
    throw new TsnetError(`there is no iptables on this host${more}`, {
      code: "not-found",
      op: "check firewall",
    });
  }
}

function failed(attachment: Attachment, { part }: Pick<Entry, "part">, missing: readonly string[]): TsnetError {
  return new TsnetError(`${part} of ${describe(attachment)}: missing ${missing.join("; ")}`, {
    code: "check-failed",
    op: "check rules",
  });
}
