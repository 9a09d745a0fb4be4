import { connect, createServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { HELD_MARK, heldSockets } from "../../../lib/firewall/listeners.ts";
import { refuseListeners } from "../../../lib/firewall/ports.ts";
import { bindPort, keepAlone, releasePort } from "../../../lib/sys/boundport.ts";
import { type Relay, relayTcp, relayUdp } from "../../../lib/sys/relay.ts";

const ANY6 = new Uint8Array(16);
const LOOPBACK6 = Uint8Array.from(ANY6, (_, at) => (at === 15 ? 1 : 0));

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).toReversed()) close();
});

/** A port that is free for both protocols, or was a moment ago. */
/**
 * Of those that the kernel gives to nobody by itself. Not one that a socket had a moment ago: a program that another
 * test starts just then holds it until it runs.
 */
async function freePort(): Promise<number> {
  return 20_000 + Math.floor(Math.random() * 12_000);
}

function bind(protocol: "tcp" | "udp", address: Uint8Array, port: number, shared = false): number {
  return bindPort({ protocol, address, port, mark: HELD_MARK, shared });
}

function keep(fd: number): number {
  closing.push(() => releasePort(fd));
  return fd;
}

function relayed(relay: Relay): Relay {
  closing.push(() => relay.close());
  return relay;
}

describe("a port that is held", () => {
  test("is nobody else's, until it is released", async () => {
    const port = await freePort();
    const fd = bind("tcp", new Uint8Array(4), port);
    expect(() => bind("tcp", new Uint8Array(4), port)).toThrow(expect.objectContaining({ code: "conflict" }));
    expect(() => bind("tcp", new Uint8Array([127, 0, 0, 1]), port, true)).toThrow("EADDRINUSE");
    releasePort(fd);
    keep(bind("tcp", new Uint8Array(4), port));
  });

  test("may be on an address that the host has not yet", async () => {
    keep(bind("udp", new Uint8Array([192, 0, 2, 77]), await freePort()));
  });

  test("is shared with its own relay, and from then on with nobody", async () => {
    const port = await freePort();
    for (const protocol of ["tcp", "udp"] as const) {
      const all = keep(bind(protocol, ANY6, port, true));
      const fd = bind(protocol, LOOPBACK6, port, true);
      if (protocol === "tcp") relayed(await relayTcp(fd, () => undefined));
      else {
        keepAlone(fd);
        relayed(await relayUdp(fd, () => undefined));
      }
      keepAlone(all);
      const documentation = Uint8Array.from(ANY6, (_, at) => [0x20, 0x01, 0x0d, 0xb8][at] ?? 1);
      expect(() => bind(protocol, documentation, port), protocol).toThrow("EADDRINUSE");
    }
  });

  test("is in no way of publishing it, other than a program's socket", async () => {
    const port = await freePort();
    const wanted = [{ family: 6, protocol: "udp", port }] as const;
    const before = heldSockets();
    const fd = bind("udp", ANY6, port);
    expect(() => refuseListeners(wanted)).not.toThrow();
    expect([...heldSockets()].filter((inode) => !before.has(inode))).toHaveLength(1);
    releasePort(fd);
    keep(bindPort({ protocol: "udp", address: ANY6, port, mark: 0, shared: false }));
    expect(() => refuseListeners(wanted)).toThrow("is taken");
  });
});

describe("a relay", () => {
  /** A server that says how much it was told, once the client has said all. */
  async function counter(): Promise<number> {
    const port = await freePort();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      let bytes = 0;
      socket.on("data", (data) => {
        bytes += data.length;
      });
      socket.on("end", () => socket.end(String(bytes)));
    });
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    closing.push(() => server.close());
    return port;
  }

  test("hands on all of it both ways, though one side has said all before the other begins", async () => {
    const [port, to] = [await freePort(), await counter()];
    relayed(await relayTcp(bind("tcp", LOOPBACK6, port, true), () => ({ address: "127.0.0.1", port: to })));
    expect(await say(port, 5_000_000)).toBe("5000000");
  });

  test("drops who comes while there is no target or nobody listens there, and serves the next", async () => {
    const [port, nobody, to] = [await freePort(), await freePort(), await counter()];
    let target: number | undefined;
    const at = () => (target === undefined ? undefined : { address: "127.0.0.1", port: target });
    relayed(await relayTcp(bind("tcp", LOOPBACK6, port, true), at));
    expect(await say(port, 1)).toBe("");
    target = nobody;
    expect(await say(port, 1)).toBe("");
    target = to;
    expect(await say(port, 1)).toBe("1");
  });

  test("answers each UDP client by itself, and goes where the target is now", async () => {
    const port = await freePort();
    const servers = await Promise.all(["one", "two"].map(udpEcho));
    let target = servers[0];
    const fd = bind("udp", LOOPBACK6, port, true);
    const relay = relayed(await relayUdp(fd, () => ({ address: "::1", port: target ?? 0 })));
    const [first, second] = [await udpClient(port), await udpClient(port)];
    expect(await Promise.all([first.ask("a"), second.ask("b")])).toEqual(["one a", "one b"]);
    target = servers[1];
    relay.drop();
    expect(await first.ask("c")).toBe("two c");
  });
});

/** Sends `bytes` and ends; what came back. */
function say(port: number, bytes: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ host: "::1", port, allowHalfOpen: true });
    socket.on("data", (data: Buffer) => {
      text += data.toString();
    });
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(text));
    socket.end(Buffer.alloc(bytes));
  });
}

async function udpEcho(name: string): Promise<number> {
  const socket = await Bun.udpSocket({
    hostname: "::1",
    socket: { data: (own, data, port, address) => void own.send(`${name} ${data}`, port, address) },
  });
  closing.push(() => socket.close());
  return socket.port;
}

async function udpClient(port: number): Promise<{ ask(text: string): Promise<string> }> {
  let answered = (_: string) => {};
  const socket = await Bun.udpSocket({
    hostname: "::1",
    connect: { hostname: "::1", port },
    socket: { data: (_, data) => answered(data.toString()) },
  });
  closing.push(() => socket.close());
  return {
    ask(text) {
      const answer = new Promise<string>((resolve) => {
        answered = resolve;
      });
      socket.send(text);
      return answer;
    },
  };
}
