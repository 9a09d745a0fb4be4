/**
 * The leases on disk, one file each, so that a daemon that starts again goes on where the last one was.
 *
 * @module
 */
import { parseJsonObject } from "../../../lib/cni/object.ts";
import type { Attachment, ConfigObject } from "../../../lib/cni/types.ts";
import type { Lease } from "../../../lib/dhcp/lease.ts";
import type { Options } from "../../../lib/dhcp/options.ts";
import { messageOf } from "../../../lib/errors.ts";
import { formatAddress, parseAddress } from "../../../lib/net/address.ts";
import { formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import { formatMac, parseMac } from "../../../lib/net/mac.ts";
import { makeDirectory, namesIn, readIfThere, removeFile, replaceFile } from "../../../lib/sys/files.ts";
import { isRecord, recordName } from "../place.ts";
import { attachmentIn, encodeOptions, numbersIn, optionsIn, text } from "../protocol.ts";
import { bootId } from "./clock.ts";
import type { LinkIdentity } from "./link.ts";

/** All that is to be known of one lease. */
export interface LeaseRecord {
  readonly attachment: Attachment;
  readonly link: LinkIdentity;
  readonly provide: Options;
  readonly request: readonly number[];
  readonly lease: Lease;
  /** Why the address is not the container's any more. */
  readonly lost?: string;
}

export class Records {
  readonly #folder: string;
  readonly #warn: (message: string) => void;

  /** @throws TsnetError `io`. */
  constructor(folder: string, warn: (message: string) => void) {
    this.#folder = folder;
    this.#warn = warn;
    makeDirectory(folder, 0o700);
  }

  /** Those of this boot. What cannot be read is told of and removed: nobody could make anything of it later. */
  all(): readonly LeaseRecord[] {
    return namesIn(this.#folder)
      .filter(isRecord)
      .flatMap((name) => {
        const path = `${this.#folder}/${name}`;
        try {
          const record = parseRecord(readIfThere(path) ?? "");
          if (record !== undefined) return [record];
        } catch (error) {
          this.#warn(`${path}: ${messageOf(error)}`);
        }
        removeFile(path);
        return [];
      });
  }

  /** What cannot be written is told of: the container has its address all the same. */
  write(record: LeaseRecord): void {
    try {
      replaceFile(`${this.#folder}/${recordName(record.attachment)}`, textOf(record), 0o600);
    } catch (error) {
      this.#warn(messageOf(error));
    }
  }

  remove(attachment: Attachment): void {
    try {
      removeFile(`${this.#folder}/${recordName(attachment)}`);
    } catch (error) {
      this.#warn(messageOf(error));
    }
  }
}

function textOf({ attachment, link, provide, request, lease, lost }: LeaseRecord): string {
  const { renewAt, rebindAt, expiresAt, address, server, via, options } = lease;
  // JSON has no Infinity: null.
  const times = { renewAt, rebindAt, expiresAt };
  const said = { address: formatCidr(address), server: formatAddress(server), via: formatMac(via) };
  return `${JSON.stringify(
    {
      boot: bootId(),
      attachment,
      link,
      provide: encodeOptions(provide),
      request,
      lease: { ...said, ...times, options: encodeOptions(options) },
      ...(lost === undefined ? {} : { lost }),
    },
    null,
    2,
  )}\n`;
}

/** Undefined for one of an earlier boot. @throws TsnetError `decoding`, `invalid`. */
function parseRecord(json: string): LeaseRecord | undefined {
  const record = parseJsonObject(json, "the record of a lease");
  if (text(record, "boot") !== bootId()) return undefined;
  const lost = record.string("lost");
  return {
    attachment: attachmentIn(record),
    link: parseLink(child(record, "link")),
    provide: optionsIn(record, "provide"),
    request: numbersIn(record, "request"),
    lease: parseLease(child(record, "lease")),
    ...(lost === undefined ? {} : { lost }),
  };
}

function parseLink(link: ConfigObject): LinkIdentity {
  return {
    netns: text(link, "netns"),
    name: text(link, "name"),
    mac: text(link, "mac"),
    inode: link.integer("inode") ?? 0,
    index: link.integer("index") ?? 0,
  };
}

function parseLease(lease: ConfigObject): Lease {
  return {
    address: parseCidr(text(lease, "address")),
    server: parseAddress(text(lease, "server")),
    via: parseMac(text(lease, "via")),
    options: optionsIn(lease, "options"),
    renewAt: lease.number("renewAt") ?? Number.POSITIVE_INFINITY,
    rebindAt: lease.number("rebindAt") ?? Number.POSITIVE_INFINITY,
    expiresAt: lease.number("expiresAt") ?? Number.POSITIVE_INFINITY,
  };
}

function child(record: ConfigObject, key: string): ConfigObject {
  return record.object(key) ?? parseJsonObject("{}", key);
}
