/**
 * What one container shall be: where its network is, and how its command is started.
 *
 * @module
 */
import { TsnetError } from "../../lib/errors.ts";
import { formatAddress } from "../../lib/net/address.ts";
import type { ContainerSpec, Join, Project, PublishedPort } from "../file/project.ts";
import type { AttachmentRecord, ContainerRecord, NetworkRecord, PortRecord, StartRecord } from "../state/records.ts";
import { checkAddressesOf } from "./addresses.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { listText } from "./list.ts";
import { idOf, netnsPath } from "./names.ts";
import type { NetworkPlan } from "./network.ts";
import type { Situation } from "./situation.ts";

export function planContainer(
  project: Project,
  spec: ContainerSpec,
  { networks, now }: { readonly networks: Pick<NetworkPlan, "byName">; readonly now: Situation },
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
        ? planAttachments(spec.name, { joins: network.joins, networks: networks.byName, ports })
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

interface Attaching {
  readonly joins: readonly Join[];
  readonly networks: NetworkPlan["byName"];
  readonly ports: readonly PortRecord[];
}

/** Ports and the default route come with the first network that packets leave and enter. */
function planAttachments(name: string, { joins, networks, ports }: Attaching): readonly AttachmentRecord[] {
  const all = joins.map((join) => {
    const network = networks.get(join.network);
    // The file's check found every network that a container names.
    if (network === undefined) throw new Error(`no network ${join.network}`);
    return { join, network };
  });
  const main = all.findIndex(({ network }) => network.internal !== true);
  if (main < 0 && ports.length > 0) {
    const ids = all.map(({ network }) => network.id).join(", ");
    throw new TsnetError(
      `container ${name} publishes ports, but nobody gets into ${ids}: put it on a network that is not internal, too`,
      { code: "conflict", op: "plan" },
    );
  }
  return all.map(({ join, network }, at) => planAttachment(join, at, { network, isMain: at === main, ports }));
}

function planAttachment(
  join: Join,
  at: number,
  {
    network,
    isMain,
    ports,
  }: { readonly network: NetworkRecord; readonly isMain: boolean; readonly ports: readonly PortRecord[] },
): AttachmentRecord {
  checkAddressesOf(network, join.addresses);
  return {
    network: network.id,
    ifname: `eth${at}`,
    list: listText(network, isMain, join.addresses.length > 0),
    ...(join.aliases === undefined || join.aliases.length === 0 ? {} : { aliases: join.aliases }),
    capabilityArgs: {
      ...(join.addresses.length === 0 ? {} : { ips: join.addresses.map(formatAddress) }),
      ...(join.mac === undefined ? {} : { mac: join.mac }),
      ...(!isMain || ports.length === 0 ? {} : { portMappings: portMappings(ports) }),
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
