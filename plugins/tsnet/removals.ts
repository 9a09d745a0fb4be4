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
import { isRecorded } from "../../lib/firewall/state.ts";
import type { Firewall, Part } from "../../lib/firewall/types.ts";
import type { Address } from "../../lib/net/address.ts";
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
  readonly #rules: {
    readonly firewall: Firewall;
    readonly parts: readonly Part[];
    readonly addresses: readonly Address[];
  }[] = [];
  readonly #later: (() => Promise<unknown>)[] = [];
  #socket: RtSocket | undefined;

  /** @param vethGoes whether one of the parts removes the container's veth. */
  constructor(attachment: Attachment, vethGoes: boolean) {
    this.#attachment = attachment;
    const choose = chooseOnce();
    this.kit = {
      firewall: async (wanted) => this.#gathering(await choose(wanted)),
      vethGoes,
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

  /**
   * A detach looks in every back end, so one does it for all parts that we know of. What we do not know of, such as
   * what the reference plugins left, is looked for afterwards.
   */
  async #detach(attempts: Attempts): Promise<void> {
    const [first] = this.#rules;
    if (first === undefined) return;
    const parts = [...new Set(this.#rules.flatMap((one) => one.parts))];
    const addresses = this.#rules.flatMap((one) => one.addresses);
    const known = parts.filter((part) => isRecorded(this.#attachment, part));
    const unknown = parts.filter((part) => !known.includes(part));
    for (const some of [known, unknown]) {
      if (some.length > 0) await attempts.try(() => first.firewall.detach(this.#attachment, some, addresses));
    }
  }

  #gathering(firewall: Firewall): Firewall {
    return {
      ...firewall,
      detach: async (_attachment, parts, addresses = []) => void this.#rules.push({ firewall, parts, addresses }),
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
