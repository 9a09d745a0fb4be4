/**
 * Wishes as entries: what shall be in the kernel, and what shall be known of it. Reads two sysctls, changes nothing.
 *
 * @module
 */
import { formatAddress } from "../net/address.ts";
import type { Cidr } from "../net/cidr.ts";
import type { Engine } from "./engine.ts";
import type { FirewallHost } from "./host.ts";
import { refuseAmbiguous } from "./ports.ts";
import { type Content, type Entry, holderOf, isPublished, type KeeperName, tagOf } from "./record.ts";
import { heldPorts, redirectsOf } from "./redirect.ts";
import { forwards } from "./sysctls.ts";
import type { Attachment, Part, Wishes } from "./types.ts";

/** What the wishes for masquerading and publishing mean for an engine; parts that come to nothing are left out. */
export function planEntries(engine: Engine, attachment: Attachment, wishes: Wishes): Entry[] {
  const entries: Entry[] = [];
  if (wishes.masquerade !== undefined) {
    const content = engine.planMasquerade(attachment, wishes.masquerade);
    entries.push(toEntry(engine.name, attachment, "masquerade", wishes.masquerade.addresses, content));
  }
  if (wishes.publish !== undefined) {
    const redirects = redirectsOf(wishes.publish);
    refuseAmbiguous(redirects);
    const used = wishes.publish.addresses.filter(({ address }) =>
      redirects.some(({ family, target }) => family === address.family && target === formatAddress(address)),
    );
    const content = engine.planPublish(attachment, wishes.publish);
    const entry = toEntry(engine.name, attachment, "publish", used, content);
    entries.push({ ...entry, ports: heldPorts(redirects), forwarding: forwards(entry.families) });
  }
  return entries.filter((entry) => entry.families.length > 0);
}

/** The wishes less what the same container publishes by another of its interfaces. */
export function withElsewhere({ state }: FirewallHost, attachment: Attachment, wishes: Wishes): Wishes {
  if (wishes.publish === undefined) return wishes;
  const tag = tagOf(attachment);
  const holder = holderOf(attachment.containerId);
  const names = state.names(
    (file) => isPublished(file) && !file.startsWith(tag) && (file.includes(holder) || !file.includes("@")),
  );
  const same = state.read(names).filter((entry) => entry.attachment.containerId === attachment.containerId);
  return { ...wishes, publish: { ...wishes.publish, elsewhere: same.flatMap((entry) => entry.ports) } };
}

/** An entry for `addresses`, which tell the families that it has rules in. */
export function toEntry(
  engine: KeeperName,
  attachment: Attachment,
  part: Part,
  addresses: readonly Cidr[],
  content: Content,
): Entry {
  const families = ([4, 6] as const).filter((family) => addresses.some(({ address }) => address.family === family));
  const texts = addresses.map(({ address }) => formatAddress(address));
  return { attachment, part, engine, families, addresses: texts, ports: [], forwarding: false, content };
}
