/**
 * What is kept of networks and containers, and what a plan wants of them: the same records, so that what was done
 * can be compared with what shall be, and undone without the file.
 *
 * @module
 */
import { flag, list, number, object, record, text, word } from "./shape.ts";

/** A network: everything in plain JSON, addresses as text. */
export const parseNetworkRecord = object(
  {
    /** `PROJECT.NETWORK`: its name in CNI, in rules, links and files. */
    id: text,
    project: text,
    name: text,
    bridge: text,
    /** Whether the bridge was made for this network, and so goes with it. */
    ownsBridge: flag,
    /** The IPv4 and, where there is one, the IPv6 subnet: `10.88.1.0/24`. */
    subnets: list(text),
    /** The host's address on each subnet. */
    gateways: list(text),
    masquerade: flag,
    options: record((value) => value as string | number | boolean),
    /** Of what the file says. */
    fingerprint: text,
  },
  {
    /** Bytes. */
    mtu: number,
    /** Nobody in it gets out of the host, and nobody gets in. */
    internal: flag,
    /** What its containers' addresses are taken from, `10.88.1.128/25`; the whole subnet without it. */
    range: text,
    /** More routes of its containers. */
    routes: list(object({ dst: text }, { via: text })),
    labels: record(text),
    /** Ids of networks whose containers reach those of this one. */
    open: list(text),
    /** Made by command: it stays until it is removed, over reboots too. */
    stays: flag,
    /** Path of the list that shows it to container runtimes. */
    conflist: text,
  },
);
export type NetworkRecord = ReturnType<typeof parseNetworkRecord>;

const parsePortRecord = object(
  { hostPort: number, containerPort: number, protocol: word("tcp", "udp", "sctp") },
  {
    hostIp: text,
    /** Nobody asked for this very host port: it was free. */
    chosen: flag,
  },
);
export type PortRecord = ReturnType<typeof parsePortRecord>;

/** One interface of a container on a network. */
const parseAttachmentRecord = object(
  {
    /** Id of the network. */
    network: text,
    ifname: text,
    /** The text of the CNI list that it is added and deleted by. */
    list: text,
    /** What the plugins get by capability. */
    capabilityArgs: record((value) => value),
  },
  {
    /** The addresses that it was given, `10.88.1.2/24`; there once it has been added. */
    addresses: list(text),
    mac: text,
    /** More names of it there. */
    aliases: list(text),
  },
);
export type AttachmentRecord = ReturnType<typeof parseAttachmentRecord>;

/** How its command is started. */
const parseStartRecord = object(
  {
    command: list(text),
    environment: record(text),
    hostname: text,
    workdir: text,
    mounts: list(object({ source: text, target: text, readOnly: flag })),
    privileged: flag,
    /** The namespaces that it shares with the host. */
    shares: list(word("pid", "ipc", "uts", "mount")),
  },
  {
    rootfs: text,
    user: text,
    /** Resolvers to ask for what is not ours, in place of the host's. */
    dns: list(text),
    dnsSearch: list(text),
    /** Names and their addresses. */
    extraHosts: record(text),
  },
);
export type StartRecord = ReturnType<typeof parseStartRecord>;

const parseProcess = object({ pid: number, startTime: number, bootId: text });

/** A container. */
export const parseContainerRecord = object(
  {
    /** `PROJECT.NAME`: its id in CNI, and the name of its network namespace. */
    id: text,
    project: text,
    name: text,
    network: word("bridge", "host", "none", "container", "foreign"),
    /** Path of its network namespace; empty for the host's. Of a foreign one, which somebody else made, whatever it was given by. */
    netns: text,
    attachments: list(parseAttachmentRecord),
    ports: list(parsePortRecord),
    start: parseStartRecord,
    /** Of all of the above. */
    fingerprint: text,
    /** `making` until its command runs: what is left of one that was cut off there is taken away and made anew. */
    phase: word("making", "running"),
    bootId: text,
  },
  {
    /** Its first process. */
    process: parseProcess,
    /** Folder of its control group. */
    cgroup: text,
    /** Milliseconds since the epoch. */
    startedAt: number,
    /** What was made in its rootfs to mount on, outermost first: it goes again if it is empty. */
    mountPoints: list(text),
    /** The container whose network namespace it is in. */
    joins: text,
    /** How its command ended, and when in milliseconds since the epoch. */
    exit: object({ code: number, at: number }),
    /** It is removed once its command has ended. */
    autoRemove: flag,
  },
);
export type ContainerRecord = ReturnType<typeof parseContainerRecord>;

/** How a container's process ended; `at` in milliseconds since the epoch. */
export const parseExitNote = object({ pid: number, startTime: number, code: number, at: number });
export type ExitNote = ReturnType<typeof parseExitNote>;
