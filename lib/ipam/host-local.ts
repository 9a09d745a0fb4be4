/**
 * host-local, the address plugin: its verbs, for its own process and for bridge, which calls them without one.
 *
 * ADD takes everything that it gives under one lock. DEL, CHECK and GC go by what the reservations themselves say,
 * never by the config's ranges, so that an address is found and freed after the ranges were changed.
 *
 * @module
 */
import type { CniDns, CniResult, PluginCall, ValidAttachment } from "../cni/types.ts";
import { joinErrors, TsnetError } from "../errors.ts";
import { warn } from "../log.ts";
import { formatAddress, sameAddress } from "../net/address.ts";
import { readIfThere } from "../sys/files.ts";
import { allocate } from "./allocator.ts";
import { dataDirOf, parseIpamConfig, parseRangeSets } from "./config.ts";
import { diskStore } from "./disk.ts";
import { isHeldBy, isHeldByContainer } from "./holder.ts";
import { checkNotExhausted } from "./pool.ts";
import { rangeFor } from "./range.ts";
import { parseResolvConf } from "./resolv-conf.ts";
import type { Reservation, Store, StoreView } from "./store.ts";

/** The verbs of host-local. Each throws TsnetError and leaves nothing half-done. */
export const hostLocal = {
  /** Reserves one address out of each range set. The result has no interfaces: they are the caller's. */
  add(call: PluginCall): CniResult {
    const config = parseIpamConfig(call);
    const dns = config.resolvConf === "" ? {} : dnsOf(config.resolvConf);
    const wish = { owner: call.attachment, sets: config.sets, requested: config.requested };
    const allocations = diskStore(call.conf.name, config.dataDir).locked((store) => allocate(store, wish, warn));
    return { interfaces: [], ips: allocations, routes: config.routes, dns };
  },

  /** Frees what the attachment has; nothing is fine. */
  del(call: PluginCall): void {
    const store = storeOf(call);
    if (!store.isThere()) return;
    store.locked((held) => releaseAll(heldBy(held, call), (each) => held.release(each)));
  },

  /** @throws TsnetError `check-failed` if the attachment has no address, or not one that it was given. */
  check(call: PluginCall): void {
    const view = storeOf(call).view();
    const held = heldBy(view, call);
    if (held.length === 0) {
      throw failed(`host-local: Failed to find address added by container ${call.containerId}`);
    }
    const sets = parseRangeSets(call);
    for (const { address } of call.conf.prevResult?.ips ?? []) {
      const ours = sets.some((set) => rangeFor(set, address.address) !== undefined);
      if (!ours || held.some((each) => sameAddress(each.address, address.address))) continue;
      throw failed(`host-local: ${formatAddress(address.address)} is not reserved for container ${call.containerId}`);
    }
  },

  /** Frees what no valid attachment has. Without a list of them it does nothing. */
  gc(call: PluginCall): void {
    const valid = call.conf.validAttachments;
    const store = storeOf(call);
    if (valid === undefined || !store.isThere()) return;
    const keep = keepOf(valid);
    store.locked((held) => {
      const stale = held.reservations().filter((each) => isCollected(held, each, keep));
      warnOfAbandoned(held, stale);
      releaseAll(stale, (each) => held.release(each));
    });
  },

  /** @throws TsnetError `exhausted` if an ADD would find no address. */
  status(call: PluginCall): void {
    const store = storeOf(call);
    const sets = parseRangeSets(call);
    if (store.isThere()) checkNotExhausted(store.view(), sets);
  },
} as const;

function storeOf(call: PluginCall): Store {
  return diskStore(call.conf.name, dataDirOf(call));
}

/** What an attachment has; the container's files without an interface only if there are no others. */
function heldBy(view: StoreView, { attachment }: PluginCall): readonly Reservation[] {
  const all = view.naming(attachment.containerId, view.reservations());
  const exact = all.filter((each) => isHeldBy(view.holderOf(each), attachment));
  return exact.length > 0 ? exact : all.filter((each) => isHeldByContainer(view.holderOf(each), attachment));
}

/** What GC leaves alone: attachments as `containerID ifname`, and containers. */
interface Keep {
  readonly attachments: ReadonlySet<string>;
  readonly containers: ReadonlySet<string>;
}

function keepOf(valid: readonly ValidAttachment[]): Keep {
  return {
    attachments: new Set(valid.map(({ containerID, ifname }) => `${containerID} ${ifname}`)),
    containers: new Set(valid.map(({ containerID }) => containerID)),
  };
}

/**
 * Whether GC frees it. A file with nothing but a word may be an old plugin's or made by hand: the boot tells, since
 * no container outlives it.
 */
function isCollected(view: StoreView, reservation: Reservation, keep: Keep): boolean {
  const holder = view.holderOf(reservation);
  switch (holder.kind) {
    case "nobody":
      return true;
    case "attachment":
      return !keep.attachments.has(`${holder.containerId} ${holder.ifname}`);
    case "container":
      return !keep.containers.has(holder.containerId) && view.isFromBeforeBoot(reservation);
    case "hand":
      return false;
  }
}

/** That containers did not give back what they had before a reboot is worth a line. */
function warnOfAbandoned(view: StoreView, stale: readonly Reservation[]): void {
  const abandoned = stale.filter((each) => view.holderOf(each).kind !== "nobody" && view.isFromBeforeBoot(each));
  if (abandoned.length === 0) return;
  const addresses = abandoned.map(({ address }) => formatAddress(address)).join(", ");
  warn(`freeing what was held since before the boot: ${addresses}`);
}

function releaseAll(reservations: readonly Reservation[], release: (reservation: Reservation) => void): void {
  const errors: unknown[] = [];
  for (const reservation of reservations) {
    try {
      release(reservation);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw joinErrors("free addresses", errors);
}

function dnsOf(path: string): CniDns {
  const text = readIfThere(path);
  if (text === undefined) throw new TsnetError(`resolvConf: no file ${path}`, { code: "io", op: "read resolv.conf" });
  return parseResolvConf(text);
}

function failed(message: string): TsnetError {
  return new TsnetError(message, { code: "check-failed", op: "check address" });
}
