/**
 * What the config means for an interface as it is: what to change, and what to keep for later. Pure.
 *
 * @module
 */
import type { CniResult } from "../../lib/cni/types.ts";
import type { Link, LinkChanges } from "../../lib/netlink/link.ts";
import type { Backup, SysctlChange } from "./backup.ts";
import type { TuningConfig } from "./config.ts";
import { type Sysctl, sameValue } from "./sysctl.ts";

/** What there shall be, and what there was. */
export interface Plan {
  readonly link: LinkChanges;
  readonly sysctls: readonly Sysctl[];
  /** undefined where nothing changes that could be put back. */
  readonly backup: Backup | undefined;
}

/** The interface and what the sysctls are, undefined for those that cannot be read. */
export interface Found {
  readonly network: string;
  /** The namespace's inode. */
  readonly netns: number;
  /** Absent only where nothing of it is to change. */
  readonly link: Link | undefined;
  readonly sysctls: ReadonlyMap<string, string | undefined>;
  /** What an earlier ADD kept, such as that of a plugin of this type earlier in the list. */
  readonly earlier: Backup | undefined;
}

export function planTuning(config: TuningConfig, found: Found): Plan {
  const { mac, promisc, mtu, allmulti, txQueueLength, sysctls } = config;
  const { link } = found;
  const identity = identityOf(found.netns, link);
  // Of another interface of the same name, in a former life of the container, nothing is worth keeping.
  const earlier = found.earlier?.link === identity ? found.earlier : {};
  const was: Backup =
    link === undefined
      ? {}
      : {
          ...(mac === undefined ? {} : { mac: link.mac }),
          ...(promisc ? { promisc: link.promisc } : {}),
          ...(mtu === undefined ? {} : { mtu: link.mtu }),
          ...(allmulti === undefined ? {} : { allmulti: link.allmulti }),
          ...(txQueueLength === undefined ? {} : { txQLen: link.txQueueLength }),
        };
  const sysctl = sysctlChanges(sysctls, found.sysctls, earlier.sysctl ?? {});
  const isEmpty = Object.keys(was).length === 0 && Object.keys(sysctl).length === 0;
  return {
    link: {
      ...(mac === undefined ? {} : { mac }),
      ...(promisc ? { promisc } : {}),
      ...(mtu === undefined ? {} : { mtu }),
      ...(allmulti === undefined ? {} : { allmulti }),
      ...(txQueueLength === undefined ? {} : { txQueueLength }),
    },
    sysctls,
    backup: isEmpty
      ? undefined
      : {
          ...was,
          ...earlier,
          network: found.network,
          link: identity,
          ...(Object.keys(sysctl).length === 0 ? {} : { sysctl }),
        },
  };
}

/** What tells an interface from another of the same name, in another namespace or later. */
export function identityOf(netns: number, link: Pick<Link, "index"> | undefined): string {
  return `${netns}:${link?.index ?? "none"}`;
}

/** Whether anything of the interface itself is to change. */
export function changesLink({ mac, promisc, mtu, allmulti, txQueueLength }: TuningConfig): boolean {
  return promisc || [mac, mtu, allmulti, txQueueLength].some((wish) => wish !== undefined);
}

/** How to put a link back. */
export function restoring({ mac, promisc, mtu, allmulti, txQLen }: Backup): LinkChanges {
  return {
    ...(mac === undefined ? {} : { mac }),
    ...(promisc === undefined ? {} : { promisc }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(allmulti === undefined ? {} : { allmulti }),
    ...(txQLen === undefined ? {} : { txQueueLength: txQLen }),
  };
}

/** The result as it is after the changes: who comes later, and CHECK, read MAC and MTU there. */
export function tunedResult(result: CniResult, ifname: string, { mac, mtu }: LinkChanges): CniResult {
  const interfaces = result.interfaces.map((one) => {
    if (one.name !== ifname || (one.sandbox ?? "") === "") return one;
    return {
      ...one,
      ...(mac === undefined ? {} : { mac }),
      ...(mtu === undefined || one.mtu === undefined ? {} : { mtu }),
    };
  });
  return { ...result, interfaces };
}

/** Those that are not what they shall be. The first to change one knows what it was. */
function sysctlChanges(
  sysctls: readonly Sysctl[],
  found: ReadonlyMap<string, string | undefined>,
  earlier: Readonly<Record<string, SysctlChange>>,
): Readonly<Record<string, SysctlChange>> {
  const changes: Record<string, SysctlChange> = { ...earlier };
  for (const { file, value } of sysctls) {
    const was = earlier[file]?.was ?? found.get(file);
    if (was !== undefined && (file in changes || !sameValue(was, value))) changes[file] = { was, set: value };
  }
  return changes;
}
