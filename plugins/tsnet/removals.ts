/**
 * What the parts of a DEL want removed, gathered: rules as one transaction, links as one message.
 *
 * The kernel waits for all of its processors before a link or an element of a set is gone, 10 to 20 ms each time.
 * Links that are in a group of their own go together and wait once, while the filter's transaction waits beside them.
 *
 * @module
 */
import type { Attachment } from "../../lib/cni/types.ts";
import { hasErrno } from "../../lib/errors.ts";
import type { Firewall, Part } from "../../lib/firewall/types.ts";
import { linkDelGroup, linkSet } from "../../lib/netlink/link.ts";
import { RtSocket } from "../../lib/netlink/socket.ts";
import type { Attempts } from "../../lib/plugin/attempts.ts";
import { doomedGroup } from "../../lib/plugin/identity.ts";
import type { Kit } from "../../lib/plugin/kit.ts";
import { chooseOnce } from "./choice.ts";

export class Removals implements Disposable {
  /** For the parts' DEL. */
  readonly kit: Kit;
  readonly #attachment: Attachment;
  readonly #group = doomedGroup();
  readonly #rules = new Map<Firewall, Set<Part>>();
  readonly #later: (() => Promise<unknown>)[] = [];
  #socket: RtSocket | undefined;

  constructor(attachment: Attachment) {
    this.#attachment = attachment;
    const choose = chooseOnce();
    this.kit = {
      firewall: async (wanted) => this.#gathering(await choose(wanted)),
      removeLink: (host, name) => this.#doom(host, name),
      afterwards: (work) => void this.#later.push(work),
    };
  }

  /** Does all of it, and tells `attempts` what failed. */
  async finish(attempts: Attempts): Promise<void> {
    const rules = this.#detach(attempts);
    await attempts.try(() => {
      if (this.#socket !== undefined) linkDelGroup(this.#socket, this.#group);
    });
    await rules;
    for (const work of this.#later) await attempts.try(work);
  }

  [Symbol.dispose](): void {
    this.#socket?.close();
  }

  /** A detach looks in every back end, so one does it for all parts. */
  #detach(attempts: Attempts): Promise<void> {
    const [firewall] = this.#rules.keys();
    const parts = new Set([...this.#rules.values()].flatMap((wanted) => [...wanted]));
    if (firewall === undefined) return Promise.resolve();
    return attempts.try(() => firewall.detach(this.#attachment, [...parts]));
  }

  #gathering(firewall: Firewall): Firewall {
    const parts = this.#rules.get(firewall) ?? new Set<Part>();
    return {
      ...firewall,
      detach: async (_attachment, removed) => {
        this.#rules.set(firewall, parts);
        for (const part of removed) parts.add(part);
      },
    };
  }

  /** Puts a link among those that go. */
  #doom(host: RtSocket, name: string): boolean {
    try {
      linkSet(host, name, { group: this.#group });
    } catch (error) {
      if (hasErrno(error, "ENODEV")) return false;
      throw error;
    }
    // The part closes its own socket when it is through.
    this.#socket ??= RtSocket.open();
    return true;
  }
}
