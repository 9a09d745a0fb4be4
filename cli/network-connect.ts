/**
 * `tsnet network connect` and `disconnect`: a running container joins a network and leaves it again; also something
 * that tsnet did not start.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { messageOf } from "../lib/errors.ts";
import { type Address, parseAddress } from "../lib/net/address.ts";
import { formatMac, parseMac } from "../lib/net/mac.ts";
import { parseHostName } from "../standalone/file/naming.ts";
import { type Connected, connectTo, disconnectFrom, type Who } from "../standalone/networks/connect.ts";
import type { JoinWish } from "../standalone/networks/join.ts";
import { State } from "../standalone/state/state.ts";
import { collect } from "./network-list.ts";
import { formatOf, printJson, printLine, usageError, withOutput } from "./output.ts";
import { requireRoot } from "./project.ts";

interface ForeignOptions {
  readonly pid?: number;
  readonly netns?: string;
  readonly output?: unknown;
}

interface ConnectOptions extends ForeignOptions {
  readonly ip?: string;
  readonly ip6?: string;
  readonly macAddress?: string;
  readonly alias?: readonly string[];
}

/** Options of docker's and podman's, and what to type here. */
const ELSEWHERE = {
  publish: {
    flags: "-p, --publish [ports]",
    way: "a container publishes what tsnet run -p or ports: in its file say, whichever networks it is on",
  },
  link: { flags: "--link [name]", way: "containers find those of their networks by name: --alias gives more names" },
  driverOpt: {
    flags: "--driver-opt [option]",
    way: "leave it out: options are the network's, tsnet network create -o",
  },
} as const;

export function registerConnect(network: Command): void {
  const connect = withForeign(network.command("connect"));
  for (const { flags } of Object.values(ELSEWHERE)) connect.addOption(new Option(flags).hideHelp());
  connect
    .description("put a running container on one more network")
    .argument("<network>", "the network")
    .argument("[container]", "the container; with --pid or --netns what to call it")
    .option("--ip <address>", "its IPv4 address there (default: a free one)")
    .option("--ip6 <address>", "its IPv6 address there (default: a free one)")
    .option("--mac-address <mac>", "the interface's MAC address")
    .option("--alias <name>", "one more name of it there; may be given again", collect)
    .addHelpText("after", CONNECT_HELP)
    .action(async (name: string, container: string | undefined, options: ConnectOptions) => {
      refuseElsewhere(options);
      requireRoot("tsnet network connect");
      const connected = await connectTo(
        { network: name, who: whoOf(container, options), wish: wishOf(options) },
        new State(),
      );
      reportConnected(connected, name, options);
    });
  withForeign(network.command("disconnect"))
    .description("take a container off a network")
    .argument("<network>", "the network")
    .argument("[container]", "the container")
    .option("-f, --force", "for scripts that say so: it makes no difference")
    .addHelpText("after", DISCONNECT_HELP)
    .action(async (name: string, container: string | undefined, options: ForeignOptions) => {
      requireRoot("tsnet network disconnect");
      const left = await disconnectFrom({ network: name, who: whoOf(container, options) }, new State());
      if (formatOf(options) === "json") printJson({ name: left.name, disconnected: name });
      else printLine(`${left.name} is off ${name}`);
    });
}

const CONNECT_HELP = `
What tsnet did not start is connected by its process or its network namespace, and is let go when it ends. It is
found by name; its own resolv.conf is left alone.

Examples:
  tsnet network connect back web
  tsnet network connect --ip 10.88.1.9 --alias db front postgres
  tsnet network connect --pid "$(podman inspect -f '{{.State.Pid}}' db)" front db
  tsnet network connect --netns /run/netns/vm front`;

const DISCONNECT_HELP = `
Published ports and the default route move to another of its networks.

Examples:
  tsnet network disconnect back web
  tsnet network disconnect --pid 4711 front`;

function refuseElsewhere(options: object): void {
  for (const [key, { flags, way }] of Object.entries(ELSEWHERE)) {
    if (key in options) throw usageError(`${/--\S+/.exec(flags)?.[0]} is not for tsnet network connect`, way);
  }
}

function withForeign(command: Command): Command {
  return withOutput(command)
    .option("--pid <pid>", "a process that tsnet did not start, in a network namespace of its own", parsePid)
    .option("--netns <path>", "a network namespace, by its path or its name in ip netns");
}

function whoOf(name: string | undefined, { pid, netns }: ForeignOptions): Who {
  if (pid !== undefined && netns !== undefined)
    throw usageError("--pid and --netns name the same thing", "give one of them");
  if (pid === undefined && netns === undefined) {
    if (name === undefined) throw usageError("no container named", "give its name, or --pid or --netns");
    return { name };
  }
  const foreign = pid === undefined ? { netns: netns ?? "" } : { pid };
  return { foreign, ...(name === undefined ? {} : { name }) };
}

function wishOf({ ip, ip6, macAddress, alias }: ConnectOptions): JoinWish {
  return {
    addresses: [...addressOf("--ip", ip, 4), ...addressOf("--ip6", ip6, 6)],
    ...(macAddress === undefined ? {} : { mac: macOf(macAddress) }),
    ...(alias === undefined ? {} : { aliases: alias.map(aliasOf) }),
  };
}

function addressOf(flag: string, text: string | undefined, family: 4 | 6): readonly Address[] {
  if (text === undefined) return [];
  const address = attempt(flag, text, parseAddress);
  if (address.family !== family)
    throw usageError(`${flag} ${text} is no IPv${family} address`, `write --ip${family === 4 ? "6" : ""} ${text}`);
  return [address];
}

function macOf(text: string): string {
  const bytes = attempt("--mac-address", text, parseMac);
  if (((bytes[0] ?? 0) & 1) === 0) return formatMac(bytes);
  throw usageError(`--mac-address ${text} is a multicast address`, "write one such as 02:42:0a:58:01:14");
}

function aliasOf(text: string): string {
  if (parseHostName(text) !== undefined) return text;
  throw usageError(`--alias ${text} is no host name`, "write letters, digits, dots and dashes");
}

function attempt<T>(flag: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw usageError(`${flag} ${text}`, messageOf(error));
  }
}

function parsePid(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is the number of a process.");
}

function reportConnected({ container, attachment }: Connected, network: string, options: ConnectOptions): void {
  const { ifname, addresses = [] } = attachment;
  if (formatOf(options) === "json") {
    printJson({ name: container.name, interface: ifname, network: attachment.network, addresses });
    return;
  }
  printLine(`${container.name} is on ${network} as ${ifname}: ${addresses.join(", ")}`);
  if (container.network === "foreign")
    printLine("names are answered at 127.0.0.11 in it; its resolv.conf is left alone");
}
