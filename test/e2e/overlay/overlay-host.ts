/**
 * One host of an overlay: its agent, and the containers that real plugin calls attach.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { AgentState } from "../../../lib/overlay/state.ts";
import { Daemon } from "../../cluster/daemon.ts";
import { type Host, type Output, PLUGINS, TSNET } from "../host.ts";
import { eventually } from "../standalone.ts";
import { Container } from "./container.ts";
import type { HostName, Place } from "./world.ts";

/** What is under test: the build, unless somebody who works on it says otherwise (`bun cli/main.ts`). */
const COMMAND = process.env.TSNET_UNDER_TEST?.split(" ") ?? [TSNET];
/** Where containers are added by, unless told otherwise. */
export const CONFLIST = "/etc/cni/net.d/10-tsnet.conflist";
const NETWORK = "tsnet";
const STATE = "/run/tsnet/overlay/agent.json";
const CNI_ENV = { NETCONFPATH: "/etc/cni/net.d", CNI_PATH: PLUGINS };
const READY_MS = 20_000;

export class OverlayHost {
  readonly name: HostName;
  /** Where it is now. */
  place: Place;
  readonly host: Host;
  readonly containers: Container[] = [];
  #agent: Daemon | undefined;

  constructor(name: HostName, place: Place, host: Host) {
    this.name = name;
    this.place = place;
    this.host = host;
  }

  sh(script: string): Promise<string> {
    return this.host.sh(script);
  }

  /** Starts the agent with these flags, by way of a program that ends in it. Not waited for: see {@link ready}. */
  async start(flags: readonly string[], by: readonly string[] = []): Promise<Daemon> {
    const argv = [...by, ...COMMAND, "overlay", "--node-name", this.name, ...flags];
    const options = { name: `agent of ${this.name}`, netns: "", log: "/run/overlay.log", argv };
    this.#agent = new Daemon(this.host, { ...options, env: { PATH: process.env.PATH ?? "" } });
    await this.#agent.start();
    return this.#agent;
  }

  get agent(): Daemon {
    if (this.#agent === undefined) throw new Error(`no agent was started on ${this.name}`);
    return this.#agent;
  }

  /** Waits until containers can be attached and the agent knows of `peers` other hosts. */
  async ready(peers: number): Promise<void> {
    await this.agent.until(async () => {
      const state = this.#told();
      return state?.trouble === undefined && state?.peers.length === peers && this.has(CONFLIST);
    }, READY_MS);
  }

  /** Waits until the agent's state is as `look` wants it. */
  async until(what: string, look: (state: AgentState) => boolean, ms = READY_MS): Promise<AgentState> {
    try {
      await eventually(
        async () => {
          const state = this.state();
          return state !== undefined && look(state);
        },
        what,
        ms,
      );
    } catch (error) {
      throw new Error(`${String(error)}\n${JSON.stringify(this.state(), null, 1)}\n${await this.agent.tail()}`);
    }
    const state = this.state();
    if (state === undefined) throw new Error("the state is gone");
    return state;
  }

  /** What this agent tells, not the one before it, whose words stand until it knows better. */
  #told(): AgentState | undefined {
    const state = this.state();
    return state?.pid === this.agent.pid ? state : undefined;
  }

  /** What agents have told those beside them last; undefined before the first. */
  state(): AgentState | undefined {
    const text = this.read(STATE);
    return text === undefined ? undefined : (JSON.parse(text) as AgentState);
  }

  /** A file of this host, if it is there. */
  read(path: string): string | undefined {
    try {
      return readFileSync(`/proc/${this.host.pid}/root${path}`, "utf8");
    } catch {
      return undefined;
    }
  }

  has(path: string): boolean {
    return this.read(path) !== undefined;
  }

  async write(path: string, text: string): Promise<void> {
    await this.host.ok(["install", "-D", "-m", "600", "/dev/stdin", path], { stdin: text });
  }

  /** Attaches a new container by the list that the agent has written. */
  async attach(name: string, network = NETWORK): Promise<Container> {
    await this.host.addNetns(name);
    const output = await this.cni("add", name, network);
    if (output.exitCode !== 0) throw new Error(`ADD on ${this.name}: ${output.stderr}${output.stdout}`);
    const container = new Container(this, name, addressesOf(output.stdout));
    this.containers.push(container);
    return container;
  }

  async detach(name: string, network = NETWORK): Promise<void> {
    const output = await this.cni("del", name, network);
    if (output.exitCode !== 0) throw new Error(`DEL on ${this.name}: ${output.stderr}${output.stdout}`);
    await this.host.ok(["ip", "netns", "del", name]);
    const index = this.containers.findIndex((container) => container.name === name);
    if (index >= 0) this.containers.splice(index, 1);
  }

  /** A verb of the runtime on the agent's list. */
  cni(verb: "add" | "del" | "check" | "status", container?: string, network = NETWORK): Promise<Output> {
    const names = container === undefined ? [] : [container];
    const json = verb === "add" || verb === "status" ? ["-o", "json"] : [];
    return this.host.run([TSNET, "cni", verb, network, ...names, ...json], { env: CNI_ENV });
  }

  /** Ends the agent and takes away what it made. */
  async cleanup(flags: readonly string[]): Promise<Output> {
    await this.#agent?.stop("TERM");
    return this.host.run([...COMMAND, "overlay", "--node-name", this.name, "--cleanup", ...flags]);
  }

  /** `tsnet overlay status`. */
  status(...args: readonly string[]): Promise<Output> {
    return this.host.run([...COMMAND, "overlay", "status", ...args]);
  }
}

function addressesOf(result: string): Readonly<Record<4 | 6, string | undefined>> {
  const addresses = [...result.matchAll(/"address": *"([^"/]+)\//g)].map(([, address]) => address ?? "");
  return { 4: addresses.find((one) => !one.includes(":")), 6: addresses.find((one) => one.includes(":")) };
}
