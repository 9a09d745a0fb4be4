/**
 * macspoofchk: a port of the bridge may send only from its container's MAC address.
 *
 * One table of the `bridge` family with two sets serves all containers; a container is an element in each. The
 * table goes with the last one. Rare enough that it is read before it is changed.
 *
 * @module
 */
import type { Attachment } from "../../lib/cni/types.ts";
import { isTsnetError, TsnetError } from "../../lib/errors.ts";
import { type NftElement, realNft } from "../../lib/nft/nft.ts";
import { NftTransaction } from "../../lib/nft/transaction.ts";
import { aliasPrefix, hostVethAlias, hostVethName } from "../../lib/plugin/identity.ts";
import { type FileLock, lockFile, makeDirectory } from "../../lib/sys/files.ts";

const FAMILY = "bridge";
const TABLE = "tsnet";
const CHECKED = "checked";
const ALLOWED = "allowed";
// Before the bridge looks at the frame, as the reference's own chain.
const PRIORITY = -300;
const LOCK_DIR = "/run/tsnet";
const LOCK_TIMEOUT_MS = 5000;
// NFTNL_UDATA_COMMENT_MAXLEN: 128 bytes with the NUL.
const MAX_COMMENT = 127;

/** Lets `hostVeth` send from `mac` (`aa:bb:cc:dd:ee:ff`) only. */
export async function addSpoofCheck(hostVeth: string, mac: string, attachment: Attachment): Promise<void> {
  await locked(async (fd) => {
    const transaction = new NftTransaction();
    const present = (await realNft().list(FAMILY, TABLE)) !== undefined;
    if (!present) declare(transaction);
    const comment = hostVethAlias(attachment).slice(0, MAX_COMMENT);
    transaction.addElement({ family: FAMILY, table: TABLE, set: ALLOWED, key: `"${hostVeth}" . ${mac}`, comment });
    transaction.addElement({ family: FAMILY, table: TABLE, set: CHECKED, key: `"${hostVeth}"`, comment });
    await realNft().run(transaction, { inheritFd: fd });
  });
}

/** Removes what {@link addSpoofCheck} made; fine where it is gone. */
export function removeSpoofCheck(hostVeth: string): Promise<void> {
  return removeWhere((name) => name === hostVeth);
}

/** Removes the checks of a network's containers that are not in `keep`. */
export function collectSpoofChecks(network: string, keep: readonly Attachment[]): Promise<void> {
  const names = new Set(keep.map(hostVethName));
  return removeWhere((name, comment) => comment?.startsWith(aliasPrefix(network)) === true && !names.has(name));
}

/** @throws TsnetError `check-failed`. */
export async function checkSpoof(hostVeth: string): Promise<void> {
  const table = await realNft().list(FAMILY, TABLE);
  const has = (set: string) => table?.sets.get(set)?.elements.some((element) => portOf(element) === hostVeth) === true;
  if (has(CHECKED) && has(ALLOWED) && (table?.chains.get("prerouting")?.rules.length ?? 0) > 0) return;
  throw new TsnetError(`the MAC check of ${hostVeth} is gone from nft's table ${FAMILY} ${TABLE}`, {
    code: "check-failed",
    op: "CHECK bridge",
  });
}

async function removeWhere(goes: (hostVeth: string, comment: string | undefined) => boolean): Promise<void> {
  await locked(async (fd) => {
    const nft = realNft();
    const table = await listIfPossible();
    if (table === undefined) return;
    const transaction = new NftTransaction();
    let left = 0;
    for (const [set, { elements }] of table.sets) {
      for (const element of elements) {
        if (goes(portOf(element), element.comment))
          transaction.deleteElement({ family: FAMILY, table: TABLE, set, key: element.key });
        else left++;
      }
    }
    if (left === 0) {
      const whole = new NftTransaction();
      whole.deleteTable(FAMILY, TABLE);
      await nft.run(whole, { inheritFd: fd });
    } else if (!transaction.empty) {
      await nft.run(transaction, { inheritFd: fd });
    }
  });
}

/** A host from which nft was removed has no table of ours either. */
async function listIfPossible() {
  try {
    return await realNft().list(FAMILY, TABLE);
  } catch (error) {
    if (isTsnetError(error, "not-found")) return undefined;
    throw error;
  }
}

function declare(transaction: NftTransaction): void {
  transaction.addTable(FAMILY, TABLE);
  transaction.addSet({ family: FAMILY, table: TABLE, set: CHECKED, typeof: "iifname" });
  transaction.addSet({ family: FAMILY, table: TABLE, set: ALLOWED, typeof: "iifname . ether saddr" });
  const hook = { type: "filter", hook: "prerouting", priority: PRIORITY } as const;
  transaction.addChain({ family: FAMILY, table: TABLE, chain: "prerouting", hook });
  const rule = `iifname @${CHECKED} iifname . ether saddr != @${ALLOWED} drop`;
  transaction.addRule({ family: FAMILY, table: TABLE, chain: "prerouting", rule });
}

function portOf(element: NftElement): string {
  return (element.key.split(" . ")[0] ?? "").replaceAll('"', "");
}

async function locked(work: (fd: number) => Promise<void>): Promise<void> {
  makeDirectory(LOCK_DIR);
  const lock: FileLock = lockFile(`${LOCK_DIR}/spoof.lock`, LOCK_TIMEOUT_MS);
  try {
    await work(lock.fd);
  } finally {
    lock.release();
  }
}
