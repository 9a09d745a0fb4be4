/**
 * Whether a packet passes, and as whom: servers that answer with the address they see the caller at, and callers
 * that send once. A first packet that got lost would be sent again by no one (UDP) or after a second (TCP, ARP),
 * so an answer within half a second says that the way was open when the call returned.
 *
 * All sockets are this process's own, opened inside the namespace in question: nothing is started for a probe.
 *
 * @module
 */
import { inside, type Netns } from "../lib/sys/netns.ts";

export type Protocol = "tcp" | "udp";

const PATIENCE_MS = 500;

/** Answers on a port of `netns`, on whatever addresses it has or gets. */
export async function answerIn(netns: Netns, protocol: Protocol, port: number): Promise<void> {
  if (protocol === "udp")
    await openUdp(netns, port, (socket, _, from) => void socket.send(from.address, from.port, from.address));
  else
    inTurn(netns, () =>
      Bun.listen({ hostname: "0.0.0.0", port, socket: { open: (s) => void s.end(s.remoteAddress), data() {} } }),
    );
}

/** Asks from inside `netns`. Returns the address that the server sees. */
export async function askFrom(netns: Netns, protocol: Protocol, address: string, port: number): Promise<string> {
  const answer = protocol === "udp" ? askUdp(netns, address, port) : askTcp(netns, address, port);
  const late = Bun.sleep(PATIENCE_MS).then(() => {
    throw new Error(`no answer from ${address}:${port}/${protocol} within ${PATIENCE_MS} ms`);
  });
  return await Promise.race([answer, late]);
}

async function askUdp(netns: Netns, address: string, port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = await openUdp(netns, 0, (_, data) => resolve(data.toString()));
  socket.send("?", port, address);
  return await promise.finally(() => socket.close());
}

function askTcp(netns: Netns, hostname: string, port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = {
    data: (_: unknown, data: Buffer) => resolve(data.toString()),
    connectError: (_: unknown, error: Error) => reject(error),
  };
  inTurn(netns, () => Bun.connect({ hostname, port, socket })).catch(reject);
  return promise;
}

type OnDatagram = (
  socket: Bun.udp.Socket<"buffer">,
  data: Buffer,
  from: { readonly address: string; readonly port: number },
) => void;

function openUdp(netns: Netns, port: number, on: OnDatagram): Promise<Bun.udp.Socket<"buffer">> {
  const socket = {
    data: (self: Bun.udp.Socket<"buffer">, data: Buffer, from: number, address: string) =>
      on(self, data, { address, port: from }),
  };
  return inTurn(netns, () => Bun.udpSocket({ hostname: "0.0.0.0", port, socket }));
}

/** The runtime opens, binds and connects sockets before its call returns; only what follows is asynchronous. */
export function inTurn<T>(netns: Netns, open: () => T): T {
  let opened: { readonly value: T } | undefined;
  inside(netns, () => {
    opened = { value: open() };
  });
  if (opened === undefined) throw new Error("the socket was not opened");
  return (opened as { readonly value: T }).value;
}
