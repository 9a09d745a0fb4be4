/**
 * Records of networks and containers, with what a test says of them and nothing else.
 *
 * @module
 */
import type { AttachmentRecord, ContainerRecord, NetworkRecord } from "../../../standalone/state/records.ts";

export function network(name: string, more: Partial<NetworkRecord> = {}): NetworkRecord {
  return {
    id: `p.${name}`,
    project: "p",
    name,
    bridge: `p-${name}`,
    ownsBridge: true,
    subnets: [],
    gateways: [],
    masquerade: true,
    options: {},
    fingerprint: "",
    ...more,
  };
}

type Attachment = Pick<AttachmentRecord, "addresses" | "aliases"> & { readonly network: NetworkRecord };

export function container(
  name: string,
  attachments: readonly Attachment[],
  start: Partial<ContainerRecord["start"]> = {},
): ContainerRecord {
  return {
    id: `p.${name}`,
    project: "p",
    name,
    network: "bridge",
    netns: `/run/netns/p.${name}`,
    attachments: attachments.map(({ network: on, ...rest }, at) => ({
      network: on.id,
      ifname: `eth${at}`,
      list: "",
      capabilityArgs: {},
      ...rest,
    })),
    ports: [],
    start: {
      command: ["sleep"],
      environment: {},
      hostname: name,
      workdir: "/",
      mounts: [],
      privileged: false,
      shares: [],
      ...start,
    },
    fingerprint: "",
    phase: "running",
    bootId: "",
  };
}
