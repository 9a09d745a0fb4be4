/**
 * Whether somebody may have taken something of ours away: told by the kernel, here and in each container's
 * namespace. It tells of our own changes, too, and of much that is nothing to us: who asks looks for himself.
 *
 * iptables-legacy tells nobody, so the sizes of its tables are compared, which is a call a table.
 *
 * @module
 */
import { isTsnetError } from "../../lib/errors.ts";
import { legacyTables } from "../../lib/iptables/variant.ts";
import { type RtEvent, type RtEvents, rtEvents } from "../../lib/netlink/events.ts";
import { type NftEvents, nftEvents } from "../../lib/nft/events.ts";
import { openNetns } from "../../lib/sys/netns.ts";
import { xtablesInfo } from "../../lib/sys/xtables.ts";
import type { ContainerRecord } from "../state/records.ts";

export interface Disturbed {
  readonly links: boolean;
  readonly rules: boolean;
}

/** Calls in which all containers have had their turn. */
const TURNS = 3;

const GROUPS = ["link", "addr4", "addr6"] as const;

export class Lookout {
  readonly #rules: NftEvents | undefined = openRules();
  readonly #host: RtEvents = rtEvents({ groups: GROUPS });
  readonly #inside = new Map<string, RtEvents>();
  #legacy = "";
  #turn = 0;

  /** Hears of the namespaces of just these containers. */
  follow(records: readonly ContainerRecord[]): void {
    const wanted = new Map(records.filter(({ attachments }) => attachments.length > 0).map((one) => [keyOf(one), one]));
    for (const [key, events] of this.#inside) {
      if (wanted.has(key)) continue;
      events.close();
      this.#inside.delete(key);
    }
    for (const [key, { netns }] of wanted) {
      const events = this.#inside.has(key) ? undefined : tryListen(netns);
      if (events !== undefined) this.#inside.set(key, events);
    }
  }

  /** What has been disturbed since the last call. Does not wait. */
  poll(): Disturbed {
    // A part of the containers each time: their own events are rare, and asking hundreds is not for nothing.
    const turn = this.#turn++ % TURNS;
    const inside = [...this.#inside.values()].filter((_, at) => at % TURNS === turn);
    // All are emptied, whichever has something.
    const heard = [this.#host, ...inside].map((events) => events.poll());
    const legacy = sizesOfLegacy();
    const rules = (this.#rules?.poll().length ?? 0) > 0 || legacy !== this.#legacy;
    this.#legacy = legacy;
    return { links: heard.flat().some(mayHurt), rules };
  }

  close(): void {
    this.follow([]);
    this.#rules?.close();
    this.#host.close();
  }
}

/** A namespace of its own for each process: a container that was started anew has another at the same path. */
function keyOf({ netns, process }: ContainerRecord): string {
  return `${netns} ${process?.pid} ${process?.startTime}`;
}

/** Undefined on a kernel without nf_tables. */
function openRules(): NftEvents | undefined {
  try {
    return nftEvents();
  } catch (error) {
    if (isTsnetError(error)) return undefined;
    throw error;
  }
}

/** Undefined where the namespace has gone. */
function tryListen(path: string): RtEvents | undefined {
  try {
    const netns = openNetns(path);
    try {
      return rtEvents({ groups: GROUPS, netns });
    } finally {
      netns.close();
    }
  } catch (error) {
    if (isTsnetError(error)) return undefined;
    throw error;
  }
}

/** What comes takes nothing away, but a link that comes may be one that left its bridge or went down. */
function mayHurt(event: RtEvent): boolean {
  return event.kind === "link" || event.kind === "lost" || ("gone" in event && event.gone);
}

function sizesOfLegacy(): string {
  return ([4, 6] as const)
    .flatMap((family) =>
      legacyTables(family).map((table) => {
        const info = xtablesInfo(family, table);
        return `${family} ${table} ${info?.entries} ${info?.bytes}`;
      }),
    )
    .join("\n");
}
