/**
 * What GC leaves alone.
 *
 * @module
 */
import type { Attachment, NetConf } from "./types.ts";

/** The network's attachments that `cni.dev/valid-attachments` lists; undefined without a list: GC then does nothing. */
export function keptAttachments({ name: network, validAttachments }: NetConf): readonly Attachment[] | undefined {
  return validAttachments?.map(({ containerID, ifname }) => ({ network, containerId: containerID, ifname }));
}
