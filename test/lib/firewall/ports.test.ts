import { createServer, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { refuseListeners } from "../../../lib/firewall/ports.ts";
import type { HeldPort } from "../../../lib/firewall/record.ts";

/** Refused because of a listener, or free. */
function verdict(port: Omit<HeldPort, "family" | "protocol"> & Partial<HeldPort>): string {
  try {
    refuseListeners([{ family: 4, protocol: "tcp", ...port }]);
    return "free";
  } catch (error) {
    expect(error).toMatchObject({ code: "conflict" });
    return String(error);
  }
}

/** A program that listens on a port of the kernel's choice, until the test is over. */
async function listen(host: string, ipv6Only = false): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer();
  open.push(server);
  await new Promise<void>((resolve) => server.listen({ host, port: 0, ipv6Only }, resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { port: address.port, server };
}

const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

describe("containers row 6: a host port that a program listens on", () => {
  it("is refused on the program's address and on any, with a way to find the program", async () => {
    const { port } = await listen("127.0.0.1");
    expect(verdict({ port })).toContain(`taken: a program listens on 127.0.0.1:${port} (ss -lntp sport = :${port}`);
    expect(verdict({ port, hostIp: "127.0.0.1" })).toContain("taken");
    expect(verdict({ port, hostIp: "192.0.2.1" })).toBe("free");
    expect(verdict({ port, family: 6 })).toBe("free");
    expect(verdict({ port, protocol: "udp" })).toBe("free");
  });

  it("is refused on every address if the program is on 0.0.0.0", async () => {
    const { port } = await listen("0.0.0.0");
    expect(verdict({ port, hostIp: "192.0.2.1" })).toContain("taken");
    expect(verdict({ port, family: 6 })).toBe("free");
  });

  it("is refused in both families if the program is on [::], in one if that is for IPv6 alone", async () => {
    const both = await listen("::");
    expect(verdict({ port: both.port })).toContain(`[::]:${both.port}`);
    expect(verdict({ port: both.port, family: 6, hostIp: "2001:db8::1" })).toContain("taken");
    const only = await listen("::", true);
    expect(verdict({ port: only.port })).toBe("free");
    expect(verdict({ port: only.port, family: 6 })).toContain("taken");
  });

  it("is refused for UDP, too, but not because of somebody's connected socket", async () => {
    const server = await Bun.udpSocket({ hostname: "127.0.0.1" });
    const client = await Bun.udpSocket({
      hostname: "127.0.0.1",
      connect: { hostname: "127.0.0.1", port: server.port },
    });
    try {
      expect(verdict({ port: server.port, protocol: "udp" })).toContain("ss -lnup");
      expect(verdict({ port: client.port, protocol: "udp" })).toBe("free");
    } finally {
      server.close();
      client.close();
    }
  });

  it("is free again when the program is gone", async () => {
    const { port, server } = await listen("127.0.0.1");
    await new Promise((resolve) => server.close(resolve));
    expect(verdict({ port })).toBe("free");
  });
});
