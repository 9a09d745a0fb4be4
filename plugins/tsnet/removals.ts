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
import { recordsOf } from "../../lib/firewall/state.ts";
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
  readonly #choose = chooseOnce();
  #begun: readonly Part[] = [];
  #running: Promise<void> | undefined;
  #socket: RtSocket | undefined;

  /** @param vethGoes whether one of the parts removes the container's veth. */
  constructor(attachment: Attachment, vethGoes: boolean) {
    this.#attachment = attachment;
    this.kit = {
      firewall: async (wanted) => this.#gathering(await this.#choose(wanted)),
      vethGoes,
      removeLink: (host, name) => this.#doom(host, name),
      afterwards: (work) => void this.#later.push(work),
    };
  }

  /** Begins with the rules of `parts` that are on record: they take the longest, and the rest is done beside them. */
  async begin(parts: readonly Part[], attempts: Attempts): Promise<void> {
    const records = recordsOf(this.#attachment).filter(({ part }) => parts.includes(part));
    const known = parts.filter((part) => records.some((record) => record.part === part));
    if (known.length === 0) return;
    const isNft = records.every(({ engine }) => engine === "nftables");
    await attempts.try(async () => {
      const firewall = await this.#choose(isNft ? "nftables" : "iptables");
      this.#begun = known;
      this.#running = attempts.try(() => firewall.detach(this.#attachment, known));
      await untilItWaits();
    });
  }

  /** Does all of it, and tells `attempts` what failed. */
  async finish(attempts: Attempts): Promise<void> {
    await attempts.try(() => {
      if (this.#socket !== undefined) linkDelGroup(this.#socket, this.#group);
    });
    await this.#running;
    await this.#detach(attempts);
    for (const work of this.#later) await attempts.try(work);
  }

  [Symbol.dispose](): void {
    this.#socket?.close();
  }

  /**
   * What else the parts want removed: what we have no record of, such as what the reference plugins left. A detach
   * looks in every back end, so one does it for all.
   */
  async #detach(attempts: Attempts): Promise<void> {
    const [first] = this.#rules;
    const rest = new Set(this.#rules.flatMap((one) => one.parts).filter((part) => !this.#begun.includes(part)));
    if (first === undefined || rest.size === 0) return;
    const addresses = this.#rules.flatMap((one) => one.addresses);
    await attempts.try(() => first.firewall.detach(this.#attachment, [...rest], addresses));
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

/** Up to where what was begun waits for the kernel or a program, which work on while we do something else. */
function untilItWaits(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
