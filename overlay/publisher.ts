/**
 * What other programs read of the agent: subnet.env and the conflist, by which containers are attached, and the state
 * that the CNI plugin and `tsnet overlay status` look at.
 *
 * Files stay when the agent ends: containers are attached by them meanwhile. So a new agent leaves a good state as it
 * is until it knows better.
 *
 * @module
 */
import type { Clock } from "../lib/daemon/clock.ts";
import type { Log } from "../lib/daemon/log.ts";
import { messageOf } from "../lib/errors.ts";
import { type Address, type Family, formatAddress, parseAddress } from "../lib/net/address.ts";
import { formatCidr } from "../lib/net/cidr.ts";
import { type AgentPeer, type AgentState, readAgentState, writeAgentState } from "../lib/overlay/state.ts";
import { gatewayOf, writeSubnetEnv } from "../lib/overlay/subnetenv.ts";
import { exists } from "../lib/sys/files.ts";
import { identify } from "../lib/sys/process.ts";
import type { AgentView } from "./agent.ts";
import { writeConflist } from "./files/conflist.ts";
import type { Fabric, Way } from "./kernel/fabric.ts";
import { FAMILIES, mapParts, subnetsOf, valuesOf } from "./parts.ts";
import type { OverlaySettings } from "./settings.ts";
import type { Lease, NetworkConfig, Parts } from "./types.ts";

export interface PublisherOptions {
  readonly settings: OverlaySettings;
  /** The source's name. */
  readonly source: string;
  readonly fabric: Fabric;
  readonly clock: Clock;
  readonly log: Log;
  readonly view: () => AgentView;
  /** Called when the view was looked at, at most every so often. */
  readonly looked: (view: AgentView) => void;
}

// With a thousand peers the state is half a megabyte: not for each of a row of changes.
const DELAY_MS = 300;
const RETRY_MS = 5000;

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #statePath: string;
  #callOff: (() => void) | undefined;
  /** Whether a state of an agent before us stands, by which containers can be attached. */
  #standing: boolean;
  /** Why the state could last not be written, so that it is said once. */
  #unwritten = "";
  /** The addresses by which others knew this host when the agent before us last told. */
  readonly knownAs: Parts<Address>;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#statePath = statePathOf(options.settings);
    const before = lastState(this.#statePath);
    this.#standing = before !== undefined && before.trouble === undefined;
    this.knownAs = knownAs(before);
  }

  /** Containers can be attached from now on. @throws TsnetError `io`. */
  publish(network: NetworkConfig, own: Lease, mtu: number): void {
    const { settings, log } = this.#options;
    const subnets = mapParts(subnetsOf(own), gatewayOf);
    writeSubnetEnv(settings.subnetFile, { networks: network.networks, subnets, mtu, ipMasq: settings.masquerade });
    const { subnetFile } = settings;
    writeConflist(settings.conflist, { subnetFile, stateFile: this.#statePath }, log);
  }

  /** Writes again what somebody removed, and says so. Returns how many files that was. */
  restore(): number {
    const { settings, log, view, fabric } = this.#options;
    const { network, own, trouble } = view();
    if (network === undefined || own === undefined || trouble !== undefined) return 0;
    const files = [settings.subnetFile, settings.conflist.path, this.#statePath];
    const missing = files.filter((file) => file !== "" && !exists(file));
    if (missing.length === 0) return 0;
    try {
      this.publish(network, own, fabric.mtu);
      this.tell(true);
      for (const file of missing) log.warn("repaired", { kind: "file", object: file, found: "missing" });
      return missing.length;
    } catch (error) {
      log.error("a file that was removed cannot be written again", { reason: messageOf(error) });
      return 0;
    }
  }

  /** The view has changed; what is urgent is written at once. */
  tell(urgent: boolean): void {
    if (urgent) this.#write();
    else this.#callOff ??= this.#options.clock.after(DELAY_MS, () => this.#write());
  }

  stop(): void {
    this.#callOff?.();
  }

  #write(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    const view = this.#options.view();
    this.#options.looked(view);
    // An agent that is only starting has nothing to say against what the one before it left.
    if (this.#standing && view.own === undefined && view.trouble?.code === 50 && view.underlay === undefined) return;
    this.#standing = false;
    try {
      writeAgentState(this.#statePath, this.#state(view));
      this.#unwritten = "";
    } catch (error) {
      this.#failed(messageOf(error));
    }
  }

  /** What the plugin goes by is out of date until it could be written, whether or not anything changes before. */
  #failed(reason: string): void {
    const { log, clock } = this.#options;
    if (reason !== this.#unwritten) log.error("cannot write the agent's state", { file: this.#statePath, reason });
    this.#unwritten = reason;
    this.#callOff = clock.after(RETRY_MS, () => this.#write());
  }

  #state(view: AgentView): AgentState {
    const { settings, source, fabric, clock } = this.#options;
    const { network, own, underlay, trouble } = view;
    const backend = network?.backend;
    return {
      pid: process.pid,
      started: String(identify(process.pid)?.startTime ?? ""),
      written: clock.wall(),
      host: settings.nodeName,
      source,
      connected: view.connected,
      ...(trouble === undefined ? {} : { trouble }),
      subnetFile: settings.subnetFile,
      networks: network === undefined ? [] : valuesOf(network.networks).map(formatCidr),
      subnets: own === undefined ? [] : valuesOf(own.parts).map(({ subnet }) => formatCidr(subnet)),
      backend: backend?.type ?? "",
      ...(backend?.type === "vxlan" ? { vni: backend.vni } : {}),
      ...(own === undefined || trouble?.code === 50 ? {} : { mtu: fabric.mtu }),
      ...(underlay === undefined
        ? {}
        : {
            underlay: {
              name: underlay.name,
              mtu: underlay.mtu,
              addresses: valuesOf(underlay.addresses).map(formatAddress),
            },
          }),
      devices: own === undefined ? [] : FAMILIES.flatMap((family) => deviceOf(fabric, own, family)),
      peers: view.peers.map((peer) => peerOf(peer, fabric)),
      refused: [...view.refused].map(([key, reason]) => ({ key, reason })),
    };
  }
}

/** Where the agent's state is. */
export function statePathOf({ stateDir }: OverlaySettings): string {
  return `${stateDir}/agent.json`;
}

function lastState(path: string): AgentState | undefined {
  try {
    return readAgentState(path);
  } catch {
    return undefined;
  }
}

function knownAs(state: AgentState | undefined): Parts<Address> {
  try {
    const addresses = (state?.underlay?.addresses ?? []).map(parseAddress);
    return Object.fromEntries(addresses.map((address) => [address.family, address]));
  } catch {
    return {};
  }
}

function deviceOf(fabric: Fabric, own: Lease, family: Family): AgentState["devices"] {
  const [name, part] = [fabric.devices[family], own.parts[family]];
  if (name === undefined || part === undefined) return [];
  return [{ name, mac: part.mac ?? "", address: formatAddress(part.subnet.address) }];
}

function peerOf(peer: Lease, fabric: Fabric): AgentPeer {
  const parts = valuesOf(peer.parts);
  const ways = fabric.way(peer.key);
  return {
    key: peer.key,
    host: peer.host,
    subnets: parts.map(({ subnet }) => formatCidr(subnet)),
    addresses: parts.map(({ address }) => formatAddress(address)),
    macs: parts.flatMap(({ mac }) => mac ?? []),
    way: [...new Set(valuesOf(ways).map(wayText))].join(", "),
    probes: peer.backend === "vxlan" ? parts.map(({ subnet }) => formatAddress(subnet.address)) : [],
  };
}

function wayText(way: Way): string {
  if (way.kind === "none") return `none: ${way.reason}`;
  return way.kind === "router" ? `router ${way.gateway}` : way.kind;
}
