/**
 * One attachment's lease in the daemon: its client, its record on disk, and what its end does to the interface.
 *
 * @module
 */
import type { Attachment } from "../../../lib/cni/types.ts";
import type { Clock } from "../../../lib/daemon/clock.ts";
import type { Log } from "../../../lib/daemon/log.ts";
import { SERVER_PORT } from "../../../lib/dhcp/datagram.ts";
import { LeaseKeeper, type LeaseWatcher, type Times } from "../../../lib/dhcp/keeper.ts";
import type { Lease } from "../../../lib/dhcp/lease.ts";
import { isTsnetError, messageOf, TsnetError } from "../../../lib/errors.ts";
import { type Address, formatAddress } from "../../../lib/net/address.ts";
import { formatCidr } from "../../../lib/net/cidr.ts";
import { parseMac } from "../../../lib/net/mac.ts";
import { openUdp } from "../../../lib/sys/datagrams.ts";
import type { Held, Wish } from "../protocol.ts";
import { type HostPrefix, type LinkIdentity, mtuOf, setLink, wireOf } from "./link.ts";
import type { LeaseRecord, Records } from "./records.ts";

export interface HoldingMeans {
  readonly prefix: HostPrefix;
  readonly times: Times;
  readonly broadcast: boolean;
  readonly clock: Clock;
  readonly records: Records;
  readonly log: Log;
}

/** Bytes: with the one for the type it fits the option's length. */
const MAX_ID = 254;

export class Holding {
  readonly #wish: Wish;
  readonly #link: LinkIdentity;
  readonly #means: HoldingMeans;
  readonly #keeper: LeaseKeeper;
  readonly #ended: () => void;
  #lease: Lease | undefined;
  #lost: string | undefined;
  #acquiring: Promise<Lease> | undefined;

  /** `ended` is called when the interface is gone, and with it the lease. */
  constructor(wish: Wish, link: LinkIdentity, means: HoldingMeans, ended: () => void) {
    this.#wish = wish;
    this.#link = link;
    this.#means = means;
    this.#ended = ended;
    const { prefix, times, broadcast, clock } = means;
    this.#keeper = new LeaseKeeper({
      client: {
        mac: parseMac(link.mac),
        id: clientId(wish.attachment),
        provided: wish.provide,
        requested: wish.request,
        broadcast,
      },
      open: wireOf(prefix, link),
      clock,
      random: Math.random,
      times,
      watcher: this.#watcher(),
    });
  }

  get attachment(): Attachment {
    return this.#wish.attachment;
  }

  /** Whether it is for that interface and has, or is getting, a lease. */
  serves(link: LinkIdentity): boolean {
    const { inode, index, mac } = this.#link;
    return this.#lost === undefined && inode === link.inode && index === link.index && mac === link.mac;
  }

  /** The lease; waits for one that is on its way. @throws TsnetError as {@link LeaseKeeper.acquire}. */
  async acquire(): Promise<Held> {
    if (this.#lease === undefined) {
      const { prefix } = this.#means;
      setLink(prefix, this.#link, true);
      this.#acquiring ??= this.#keeper.acquire();
      await this.#acquiring;
    }
    return this.held();
  }

  /** Goes on with what an earlier daemon had, if the interface is there still. */
  resume({ lease, lost }: LeaseRecord): void {
    this.#lease = lease;
    this.#lost = lost;
    try {
      mtuOf(this.#means.prefix, this.#link);
    } catch (error) {
      if (isTsnetError(error, "not-found", "invalid-netns")) {
        this.#forget(messageOf(error));
        return;
      }
    }
    this.#means.log.info("going on", { of: nameOf(this.attachment), ...addressOf(lease) });
    if (lost === undefined) this.#keeper.resume(lease);
  }

  /** The lease as the plugin is told. @throws TsnetError `check-failed` if it was lost, `not-found` if the link is gone. */
  held(): Held {
    const { attachment } = this.#wish;
    if (this.#lost !== undefined) throw new TsnetError(this.#lost, { code: "check-failed", op: "DHCP" });
    if (this.#lease === undefined) {
      throw new TsnetError(`${nameOf(attachment)} has no lease yet`, { code: "check-failed", op: "DHCP" });
    }
    const { address, server, options, expiresAt } = this.#lease;
    const left = (expiresAt - this.#means.clock.now()) / 1000;
    return {
      attachment,
      address,
      server,
      options,
      mtu: mtuOf(this.#means.prefix, this.#link),
      ...(Number.isFinite(left) ? { secondsLeft: Math.round(left) } : {}),
    };
  }

  /** Gives the lease back, as far as there is somebody to give it to, or gives up getting one, and forgets it. */
  release(): void {
    const { log, records } = this.#means;
    const fields = { of: nameOf(this.attachment), ...addressOf(this.#lease) };
    const isHeld = this.#keeper.lease !== undefined;
    try {
      this.#keeper.release((message, server) => void this.#sendFromHost(message, server));
      log.info(isHeld ? "released" : "forgotten", fields);
    } catch (error) {
      const reason = messageOf(error);
      log.warn("cannot tell the server that the lease is given back: it ends by itself", { ...fields, reason });
    }
    records.remove(this.attachment);
  }

  /** Where the interface is gone, the host may reach the server: it knows the lease by what the message says. */
  async #sendFromHost(message: Uint8Array, server: Address): Promise<void> {
    const { log } = this.#means;
    const fields = { of: nameOf(this.attachment), server: formatAddress(server) };
    try {
      const socket = await openUdp({ address: "0.0.0.0", port: 0, received: () => {} });
      socket.send(message, { address: formatAddress(server), port: SERVER_PORT });
      socket.close();
      log.info("the interface is gone: the server is told from the host", fields);
    } catch (error) {
      log.warn("the interface is gone, and the host cannot tell the server", { ...fields, reason: messageOf(error) });
    }
  }

  /** Ends it without a word to the server. */
  drop(): void {
    this.#keeper.stop();
    this.#means.records.remove(this.attachment);
  }

  #watcher(): LeaseWatcher {
    const { log } = this.#means;
    const of = nameOf(this.attachment);
    return {
      bound: (lease) => {
        log.info(this.#lease === undefined ? "bound" : "renewed", { of, ...addressOf(lease), ...this.#times(lease) });
        this.#lease = lease;
        this.#record();
      },
      lost: (reason) => {
        log.error("lost: the interface is taken down", { of, reason });
        this.#lost = reason;
        this.#record();
        this.#takeDown();
      },
      gone: (reason) => this.#forget(reason),
      note: (message) => log.warn(message, { of }),
    };
  }

  #times({ server, renewAt, expiresAt }: Lease): Readonly<Record<string, unknown>> {
    const seconds = (at: number) => (Number.isFinite(at) ? Math.round((at - this.#means.clock.now()) / 1000) : "never");
    return { server: formatAddress(server), renewIn: seconds(renewAt), endsIn: seconds(expiresAt) };
  }

  #record(): void {
    const { attachment, provide, request } = this.#wish;
    if (this.#lease === undefined) return;
    const lost = this.#lost === undefined ? {} : { lost: this.#lost };
    this.#means.records.write({ attachment, link: this.#link, provide, request, lease: this.#lease, ...lost });
  }

  /** Nobody may use an address that may be another's by now. */
  #takeDown(): void {
    const { prefix, log } = this.#means;
    try {
      setLink(prefix, this.#link, false);
    } catch (error) {
      if (isTsnetError(error, "not-found")) this.#forget(messageOf(error));
      else log.error("cannot take the interface down", { of: nameOf(this.attachment), reason: messageOf(error) });
    }
  }

  #forget(reason: string): void {
    const { log, records } = this.#means;
    log.info("gone: the lease is forgotten", { of: nameOf(this.attachment), ...addressOf(this.#lease), reason });
    records.remove(this.attachment);
    this.#ended();
  }
}

/** RFC 2132, section 9.14: type 0, no link address. The reference's, so that a server knows the container again. */
function clientId({ network, containerId, ifname }: Attachment): Uint8Array {
  return Buffer.concat([Uint8Array.of(0), Buffer.from(`${containerId}/${network}/${ifname}`).subarray(0, MAX_ID)]);
}

/** As the log names an attachment. */
export function nameOf({ network, containerId, ifname }: Attachment): string {
  return `${containerId}/${network}/${ifname}`;
}

function addressOf(lease: Lease | undefined): { readonly address?: string } {
  return lease === undefined ? {} : { address: formatCidr(lease.address) };
}
