/**
 * The leases of a host's containers, and what the plugin asks about them.
 *
 * @module
 */
import type { Attachment } from "../../../lib/cni/types.ts";
import { messageOf, TsnetError } from "../../../lib/errors.ts";
import type { ControlCall } from "../../../lib/sys/control.ts";
import {
  type Collection,
  encodeFailure,
  encodeHeld,
  type Held,
  parseAttachment,
  parseCollection,
  parseWish,
  type Wish,
} from "../protocol.ts";
import { Holding, type HoldingMeans, nameOf } from "./holding.ts";
import { findLink, type LinkIdentity } from "./link.ts";

export class Daemon {
  readonly #means: HoldingMeans;
  readonly #holdings = new Map<string, Holding>();

  /** Goes on with the leases on record. */
  constructor(means: HoldingMeans) {
    this.#means = means;
    for (const record of means.records.all()) {
      const { attachment, provide, request, link } = record;
      this.#hold({ attachment, provide, request, netns: link.netns }, link).resume(record);
    }
  }

  /** Answers what the plugin asks; undefined if it asks for nothing that there is. */
  async answer({ method, path, body, signal }: ControlCall): Promise<unknown> {
    try {
      switch (`${method} ${path}`) {
        case "POST /allocate":
          return encodeHeld(await this.#allocate(parseWish(body), signal));
        case "POST /check":
          return encodeHeld(this.#check(parseAttachment(body)));
        case "POST /release":
          return { released: this.#release(parseAttachment(body)) };
        case "POST /collect":
          return { released: this.#collect(parseCollection(body)) };
        case "GET /leases":
          return { leases: [...this.#holdings.values()].map(described) };
        default:
          return undefined;
      }
    } catch (error) {
      return encodeFailure(error);
    }
  }

  async #allocate(wish: Wish, signal: AbortSignal): Promise<Held> {
    const { attachment, netns } = wish;
    const link = findLink(this.#means.prefix, netns, attachment.ifname);
    const there = this.#holdings.get(keyOf(attachment));
    if (there?.serves(link) === true) return there.acquire();
    // The interface is another than it was: the server tells by the client's id that it is the same client.
    there?.drop();
    const holding = this.#hold(wish, link);
    // Whoever asked may be killed while no server answers.
    const giveUp = () => {
      if (this.#holdings.get(keyOf(attachment)) === holding) this.#release(attachment);
    };
    signal.addEventListener("abort", giveUp);
    try {
      return await holding.acquire();
    } catch (error) {
      giveUp();
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  #check(attachment: Attachment): Held {
    const holding = this.#holdings.get(keyOf(attachment));
    if (holding !== undefined) return holding.held();
    throw new TsnetError(`the DHCP daemon holds no lease for ${nameOf(attachment)}`, {
      code: "check-failed",
      op: "DHCP",
    });
  }

  #release(attachment: Attachment): number {
    const holding = this.#holdings.get(keyOf(attachment));
    this.#holdings.delete(keyOf(attachment));
    holding?.release();
    return holding === undefined ? 0 : 1;
  }

  #collect({ network, keep }: Collection): number {
    const kept = new Set(keep.map((one) => keyOf({ network, ...one })));
    return [...this.#holdings.values()]
      .map(({ attachment }) => attachment)
      .filter((attachment) => attachment.network === network && !kept.has(keyOf(attachment)))
      .reduce((count, attachment) => count + this.#release(attachment), 0);
  }

  #hold(wish: Wish, link: LinkIdentity): Holding {
    const key = keyOf(wish.attachment);
    const holding: Holding = new Holding(wish, link, this.#means, () => this.#forget(holding));
    this.#holdings.set(key, holding);
    return holding;
  }

  #forget(holding: Holding): void {
    holding.drop();
    const key = keyOf(holding.attachment);
    if (this.#holdings.get(key) === holding) this.#holdings.delete(key);
  }
}

/** One that is lost is listed with the reason. */
function described(holding: Holding): unknown {
  try {
    return encodeHeld(holding.held());
  } catch (error) {
    return { attachment: holding.attachment, error: messageOf(error) };
  }
}

function keyOf({ network, containerId, ifname }: Attachment): string {
  return [network, containerId, ifname].join("\0");
}
