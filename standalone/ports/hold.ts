/**
 * The sockets of one address and port of the host: one that holds it, and where [::1] is part of it one that relays.
 *
 * @module
 */
import { isTsnetError, messageOf, TsnetError } from "../../lib/errors.ts";
import { HELD_MARK } from "../../lib/firewall/listeners.ts";
import { type Address, addressBytes } from "../../lib/net/address.ts";
import { bindPort, keepAlone, releasePort, takeNothing } from "../../lib/sys/boundport.ts";
import { type Relay, relayTcp, relayUdp } from "../../lib/sys/relay.ts";
import { formatHostPort } from "../file/ports.ts";
import { type Holding, LOOPBACK, sameTarget } from "./wanted.ts";

/** A port of the host that nobody else gets. */
export interface Held {
  /** Whose it is now. What is under way to somebody else is dropped. */
  lead(holding: Holding): void;
  close(): void;
}

/** @throws TsnetError `conflict` if a program has the port. */
export async function hold(holding: Holding): Promise<Held> {
  try {
    return holding.relays ? await holdWithRelay(holding) : holdAlone(holding);
  } catch (error) {
    // Without IPv6 there is nothing to hold and nobody to ask.
    if (holding.address.family === 6 && isTsnetError(error, "kernel-lacks")) return { lead() {}, close() {} };
    throw explain(holding, error);
  }
}

function holdAlone(holding: Holding): Held {
  const fd = bindAlone(holding);
  if (holding.protocol === "udp") takeNothing(fd);
  return { lead() {}, close: () => releasePort(fd) };
}

/** Beside connections of an earlier program that are about to be forgotten (TIME_WAIT) the port is free all the same. */
function bindAlone(holding: Holding): number {
  try {
    return bind(holding, holding.address, false);
  } catch (error) {
    if (!isTsnetError(error, "conflict")) throw error;
    const fd = bind(holding, holding.address, true);
    keepAlone(fd);
    return fd;
  }
}

/**
 * The relay listens on [::1] alone, since what comes to other addresses is not its business; another socket holds
 * these. The two let each other in until both are there.
 */
async function holdWithRelay(holding: Holding): Promise<Held> {
  const rest = holding.address.value === 0n ? bind(holding, holding.address, true) : undefined;
  let current = holding;
  let relay: Relay;
  try {
    relay = await openRelay(holding, () => current.target);
  } catch (error) {
    if (rest !== undefined) releasePort(rest);
    throw error;
  }
  if (rest !== undefined) keepAlone(rest);
  if (rest !== undefined && holding.protocol === "udp") takeNothing(rest);
  return {
    lead(next) {
      const moved = !sameTarget(current, next);
      current = next;
      if (moved) relay.drop();
    },
    close() {
      relay.close();
      if (rest !== undefined) releasePort(rest);
    },
  };
}

async function openRelay(holding: Holding, target: () => Holding["target"]): Promise<Relay> {
  const fd = bind(holding, LOOPBACK, true);
  if (holding.protocol === "tcp") return relayTcp(fd, target);
  keepAlone(fd);
  return relayUdp(fd, target);
}

function bind({ protocol, port }: Holding, address: Address, shared: boolean): number {
  return bindPort({ protocol, address: addressBytes(address), port, mark: HELD_MARK, shared });
}

function explain({ container, address, protocol, port }: Holding, cause: unknown): TsnetError {
  const where = formatHostPort({ hostIp: address, hostPort: port, containerPort: port, protocol });
  const taken = isTsnetError(cause, "conflict");
  const why = taken ? `a program has a socket there (ss -anp sport = :${port} names it)` : messageOf(cause);
  return new TsnetError(`host port ${where} of container ${container} cannot be held: ${why}`, {
    code: taken ? "conflict" : "io",
    op: "hold port",
    cause,
  });
}
