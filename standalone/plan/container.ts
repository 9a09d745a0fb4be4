/**
 * What one container shall be: where its network is, and how its command is started.
 *
 * @module
 */
import { formatAddress } from "../../lib/net/address.ts";
import type { ContainerSpec, Join, Project, PublishedPort } from "../file/project.ts";
import type { AttachmentRecord, ContainerRecord, NetworkRecord, PortRecord, StartRecord } from "../state/records.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { listText } from "./list.ts";
import { idOf, netnsPath } from "./names.ts";
import type { NetworkPlan } from "./network.ts";
import type { Situation } from "./situation.ts";

export function planContainer(
  project: Project,
  spec: ContainerSpec,
  { networks, now }: { readonly networks: NetworkPlan; readonly now: Situation },
): ContainerRecord {
  const id = idOf(project.name, spec.name);
  const ports = spec.ports.map(portRecord);
  const { network } = spec;
  const wanted = {
    id,
    project: project.name,
    name: spec.name,
    network: network.kind,
    netns: netnsOf(project, spec, id),
    attachments:
      network.kind === "bridge"
        ? network.joins.map((join, at) =>
            planAttachment(join, at, { network: networks.byName.get(join.network), ports }),
          )
        : [],
    ports,
    start: startRecord(spec),
    ...(network.kind === "container" ? { joins: network.container } : {}),
  };
  return { ...wanted, fingerprint: fingerprintOf(wanted), phase: "making", bootId: now.bootId };
}

function netnsOf(project: Project, { network }: ContainerSpec, id: string): string {
  if (network.kind === "host") return "";
  return netnsPath(network.kind === "container" ? idOf(project.name, network.container) : id);
}

/** Ports and the default route come with the first network. */
function planAttachment(
  join: Join,
  at: number,
  { network, ports }: { readonly network: NetworkRecord | undefined; readonly ports: readonly PortRecord[] },
): AttachmentRecord {
  // The file's check found every network that a container names.
  if (network === undefined) throw new Error(`no network ${join.network}`);
  return {
    network: network.id,
    ifname: `eth${at}`,
    list: listText(network, at === 0, join.addresses.length > 0),
    ...(join.aliases === undefined || join.aliases.length === 0 ? {} : { aliases: join.aliases }),
    capabilityArgs: {
      ...(join.addresses.length === 0 ? {} : { ips: join.addresses.map(formatAddress) }),
      ...(join.mac === undefined ? {} : { mac: join.mac }),
      ...(at > 0 || ports.length === 0 ? {} : { portMappings: portMappings(ports) }),
    },
  };
}

/** What the portmap plugin gets. */
export function portMappings(ports: readonly PortRecord[]): readonly object[] {
  return ports.map(({ hostIp, chosen: _, ...port }) => ({
    ...port,
    ...(hostIp === undefined ? {} : { hostIP: hostIp }),
  }));
}

function portRecord({ hostIp, ...port }: PublishedPort): PortRecord {
  return { ...port, ...(hostIp === undefined ? {} : { hostIp: formatAddress(hostIp) }) };
}

function startRecord({
  command,
  environment,
  hostname,
  workdir,
  mounts,
  privileged,
  shares,
  rootfs,
  user,
  dns,
  dnsSearch,
  extraHosts,
}: ContainerSpec): StartRecord {
  return {
    command,
    environment,
    hostname,
    workdir,
    mounts,
    privileged,
    shares,
    ...(rootfs === undefined ? {} : { rootfs }),
    ...(user === undefined ? {} : { user }),
    ...(dns.length === 0 ? {} : { dns: dns.map(formatAddress) }),
    ...(dnsSearch === undefined ? {} : { dnsSearch }),
    ...(Object.keys(extraHosts).length === 0 ? {} : { extraHosts }),
  };
}
