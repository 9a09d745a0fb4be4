/**
 * Listens to a source and keeps what it tells, as an agent would.
 *
 * @module
 */
import { formatCidr } from "../../../lib/net/cidr.ts";
import type { OwnLease, SourceEvents } from "../../../overlay/source/source.ts";
import type { Lease, NetworkConfig } from "../../../overlay/types.ts";

export class Recorder implements SourceEvents {
  readonly all = new Map<string, Lease>();
  readonly bad = new Map<string, string>();
  readonly answers: OwnLease[] = [];
  readonly connections: string[] = [];
  /** Every event in its order, without what it carries. */
  readonly order: string[] = [];
  config: NetworkConfig | undefined;

  network(config: NetworkConfig): void {
    this.order.push("network");
    this.config = config;
  }

  leases(all: readonly Lease[]): void {
    this.order.push("leases");
    this.all.clear();
    for (const lease of all) this.all.set(lease.key, lease);
  }

  changed(lease: Lease): void {
    this.order.push("changed");
    this.all.set(lease.key, lease);
    this.bad.delete(lease.key);
  }

  gone(key: string): void {
    this.order.push("gone");
    this.all.delete(key);
    this.bad.delete(key);
  }

  malformed(key: string, reason: string): void {
    this.order.push("malformed");
    this.bad.set(key, reason);
  }

  own(answer: OwnLease): void {
    this.order.push("own");
    this.answers.push(answer);
  }

  connection(up: boolean, reason?: string): void {
    this.connections.push(up ? "up" : `down: ${reason}`);
  }

  /** What our claim was last told; undefined before that. */
  get answer(): OwnLease | undefined {
    return this.answers.at(-1);
  }

  /** The hosts told of, with their subnets: `b 10.244.2.0/24`, sorted. */
  get hosts(): readonly string[] {
    return [...this.all.values()].map(describe).sort();
  }

  /** Waits until `done`, at most `ms`. @throws Error that says what was waited for and what there was. */
  async until(what: string, done: () => boolean, ms = 15_000): Promise<void> {
    const end = performance.now() + ms;
    while (!done()) {
      if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}; ${this.#state()}`);
      await Bun.sleep(10);
    }
  }

  /** Waits for an answer of `kind` that was told after `from` others, and returns it. */
  async answered<K extends OwnLease["kind"]>(kind: K, from = 0): Promise<Extract<OwnLease, { kind: K }>> {
    const found = () => this.answers.slice(from).find((answer) => isOf(answer, kind));
    await this.until(`own lease ${kind}`, () => found() !== undefined);
    const answer = found();
    if (answer === undefined || !isOf(answer, kind)) throw new Error("unreachable");
    return answer;
  }

  #state(): string {
    const { hosts, order, connections } = this;
    return JSON.stringify({ hosts, bad: [...this.bad], own: this.answer, order, connections }, (_, value) =>
      typeof value === "bigint" ? String(value) : value,
    );
  }
}

/** `b 10.244.2.0/24 fd00:244:2::/64`. */
export function describe(lease: Lease): string {
  const subnets = [lease.parts[4], lease.parts[6]].flatMap((part) =>
    part === undefined ? [] : [formatCidr(part.subnet)],
  );
  return [lease.host, ...subnets].join(" ");
}

function isOf<K extends OwnLease["kind"]>(answer: OwnLease, kind: K): answer is Extract<OwnLease, { kind: K }> {
  return answer.kind === kind;
}
