/**
 * What the helper does for names: one resolver in the network namespace of each container that has networks, all
 * answering from the same zone.
 *
 * @module
 */
import { isTsnetError, joinErrors, messageOf, TsnetError } from "../../lib/errors.ts";
import { type Netns, openNetns } from "../../lib/sys/netns.ts";
import { identityOf } from "../../lib/sys/watch.ts";
import type { HelperPart, HelperView } from "../helper/view.ts";
import type { ContainerRecord } from "../state/records.ts";
import { answerQuery } from "./answer.ts";
import { Recall } from "./recall.ts";
import { removeRedirect } from "./redirect.ts";
import { HostResolvers } from "./resolvers.ts";
import { NameServer, type Say } from "./server.ts";
import { askUpstream } from "./upstream.ts";
import { Zone } from "./zone.ts";

/**
 * The rules inside the containers are looked at in turn, since nobody tells of their change: milliseconds between two
 * turns, and how many containers come in one. So with up to twenty each is seen every second, and with hundreds it
 * still costs nothing.
 */
const PATROL = 250;
const PATROLLED = 5;

/** Names that several share and whose turns are remembered, also when they are gone. */
const MOST_TURNS = 1000;

export function namesPart(): HelperPart {
  return new Names();
}

interface Served {
  readonly netns: Netns;
  /** Which namespace it is, so that a new one of the same name is told from it. */
  readonly identity: string | undefined;
  readonly server: NameServer;
  /** Somebody else's namespace is left as it was found. */
  readonly foreign: boolean;
}

class Names implements HelperPart {
  readonly #served = new Map<string, Served>();
  readonly #resolvers = new HostResolvers();
  #zone = new Zone({ containers: [], networks: [] });
  readonly #turns = new Map<string, number>();
  readonly #recalls = new Map<string, Recall>();
  #onPatrol: readonly Served[] = [];
  readonly #timer = setInterval(() => this.#patrol(), PATROL);

  async sync(view: HelperView): Promise<void> {
    this.#zone = new Zone(view);
    // Not each time: on a busy host the first of several would always be the first.
    if (this.#turns.size > MOST_TURNS) this.#turns.clear();
    for (const recall of this.#recalls.values()) recall.clear();
    const wanted = new Map(view.containers.filter(hasNames).map((container) => [container.id, container]));
    const errors: unknown[] = [];
    for (const [id, served] of this.#served) {
      const container = wanted.get(id);
      if (container === undefined || identityOf(container.netns) !== served.identity) this.#release(id, served, errors);
    }
    for (const container of wanted.values()) {
      await this.#ensure(container).catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0) throw joinErrors("serve names", errors);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const { server, netns } of this.#served.values()) {
      server.close();
      netns.close();
    }
    this.#served.clear();
  }

  async #ensure({ id, name, netns: path, network }: ContainerRecord): Promise<void> {
    if (this.#served.has(id)) return;
    // Looked up before it is opened: if it is replaced in between, the next sync sees it.
    const identity = identityOf(path);
    const netns = tryOpen(path);
    if (netns === undefined) return;
    try {
      const server = await NameServer.open(netns, this.#sayTo(id));
      this.#served.set(id, { netns, identity, server, foreign: network === "foreign" });
    } catch (error) {
      netns.close();
      throw new TsnetError(
        `no names in ${name}: ${messageOf(error)}; it takes a loopback that is up (ip link set lo up in its namespace)`,
        { code: "io", op: "serve names", cause: error },
      );
    }
  }

  #patrol(): void {
    if (this.#onPatrol.length === 0) this.#onPatrol = [...this.#served.values()];
    const now = this.#onPatrol.slice(0, PATROLLED);
    this.#onPatrol = this.#onPatrol.slice(PATROLLED);
    const served = new Set(this.#served.values());
    for (const one of now) {
      // It may have been let go of since the round began.
      if (served.has(one)) tryCheck(one.server);
    }
  }

  #release(id: string, { server, netns, foreign }: Served, errors: unknown[]): void {
    this.#served.delete(id);
    this.#recalls.delete(id);
    try {
      server.close();
      if (foreign) removeRedirect(netns);
    } catch (error) {
      errors.push(error);
    } finally {
      netns.close();
    }
  }

  #sayTo(id: string): Say {
    const turn = (question: string) => {
      const turns = this.#turns.get(question) ?? 0;
      this.#turns.set(question, turns + 1);
      return turns;
    };
    const recall = new Recall();
    this.#recalls.set(id, recall);
    return (query, transport) => {
      const known = transport === "udp" ? recall.find(query) : undefined;
      if (known !== undefined) return known;
      const said = answerQuery(query, { zone: this.#zone, id, transport, turn });
      if (said.kind === "answer" && said.lasting && transport === "udp") recall.keep(query, said.bytes);
      if (said.kind === "answer") return said.bytes;
      if (said.kind === "nothing") return undefined;
      const asked = this.#zone.askedBy(id);
      return askUpstream(query, transport, typeof asked === "string" ? this.#resolvers.list() : asked);
    };
  }
}

function hasNames({ network, netns }: ContainerRecord): boolean {
  return (network === "bridge" || network === "foreign") && netns !== "";
}

/** What cannot be put back now is tried again in the next round. */
function tryCheck(server: NameServer): void {
  try {
    server.check();
  } catch (error) {
    if (!isTsnetError(error)) throw error;
  }
}

/** Undefined if it is gone: the next view will not have the container. */
function tryOpen(path: string): Netns | undefined {
  try {
    return openNetns(path);
  } catch (error) {
    if (isTsnetError(error, "not-found", "invalid-netns")) return undefined;
    throw error;
  }
}
