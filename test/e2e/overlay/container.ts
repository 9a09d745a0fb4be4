/**
 * A container of an overlay: a namespace with its own addresses, from which others are asked.
 *
 * @module
 */
import type { Output } from "../host.ts";
import type { OverlayHost } from "./overlay-host.ts";
import { Pinger } from "./pinger.ts";

export class Container {
  readonly on: OverlayHost;
  readonly name: string;
  readonly addresses: Readonly<Record<4 | 6, string | undefined>>;

  constructor(on: OverlayHost, name: string, addresses: Readonly<Record<4 | 6, string | undefined>>) {
    this.on = on;
    this.name = name;
    this.addresses = addresses;
  }

  /** @throws Error if it has none of that family. */
  address(family: 4 | 6): string {
    const address = this.addresses[family];
    if (address === undefined) throw new Error(`${this} has no IPv${family} address`);
    return address;
  }

  run(argv: readonly string[]): Promise<Output> {
    return this.on.host.inNetns(this.name, argv);
  }

  /** Runs a shell script inside and returns its output. @throws Error if it fails. */
  sh(script: string): Promise<string> {
    return this.on.host.ok(["ip", "netns", "exec", this.name, "sh", "-ec", script]);
  }

  /** Whether one ping is answered within `seconds`. */
  async pings(address: string, seconds = 1): Promise<boolean> {
    return (await this.run(["ping", "-n", "-c", "1", "-W", String(seconds), address])).exitCode === 0;
  }

  /** Pings `to` 100 times a second until told to stop. */
  ping(to: Container, family: 4 | 6 = 4): Promise<Pinger> {
    return Pinger.start(this.on.host, this.name, to.address(family), `${this} to ${to} over IPv${family}`);
  }

  toString(): string {
    return `${this.on.name}/${this.name}`;
  }
}
