import { beforeEach, describe, expect, it } from "vitest";
import { LeaseKeeper } from "../../../lib/dhcp/keeper.ts";
import type { Lease } from "../../../lib/dhcp/lease.ts";
import type { Client } from "../../../lib/dhcp/requests.ts";
import { formatAddress } from "../../../lib/net/address.ts";
import { formatCidr } from "../../../lib/net/cidr.ts";
import { parseMac } from "../../../lib/net/mac.ts";
import { type FakeClock, fakeClock, idle } from "../daemon/clock.ts";
import { FakeServer, hex32 } from "./server.ts";

const CLIENT: Client = {
  mac: parseMac("02:00:00:00:00:02"),
  id: Buffer.from("\0c1/net/eth0"),
  provided: new Map(),
  requested: [3, 1],
  broadcast: false,
};

let server: FakeServer;
let clock: FakeClock;
/** What the watcher was told. */
let told: string[];
/** What was noted by the way. */
let notes: string[];

beforeEach(() => {
  server = new FakeServer();
  clock = fakeClock();
  told = [];
  notes = [];
});

function keeper(client: Partial<Client> = {}): LeaseKeeper {
  return new LeaseKeeper({
    client: { ...CLIENT, ...client },
    open: server.open,
    clock,
    // The middle: no jitter.
    random: () => 0.5,
    times: { timeout: 10_000, resendMax: 62_000, resendTimeout: 60_000 },
    watcher: {
      bound: (lease) => told.push(`bound ${formatCidr(lease.address)} until ${lease.expiresAt / 1000}`),
      lost: (reason) => told.push(`lost: ${reason}`),
      gone: (reason) => told.push(`gone: ${reason}`),
      note: (message) => notes.push(message),
    },
  });
}

async function bound(client: Partial<Client> = {}): Promise<LeaseKeeper> {
  const one = keeper(client);
  await one.acquire();
  server.said();
  told = [];
  return one;
}

describe("getting a lease", () => {
  it("takes the address that is offered, and keeps what the server said", async () => {
    server.options = { ...server.options, 3: "0a000001" };
    const lease = await keeper().acquire();
    expect(formatCidr(lease.address)).toBe("10.0.0.5/24");
    expect(lease.options.get(3)).toEqual(Buffer.from("0a000001", "hex"));
    expect(lease).toMatchObject({ renewAt: 50_000, rebindAt: 87_500, expiresAt: 100_000 });
    expect(told).toEqual(["bound 10.0.0.5/24 until 100"]);
    const [discover, request] = server.requests;
    expect(discover).toMatchObject({
      from: "0.0.0.0",
      to: "255.255.255.255",
      link: "ff:ff:ff:ff:ff:ff",
      broadcast: false,
    });
    expect([...(discover?.options.keys() ?? [])]).toEqual([53, 61, 57, 55]);
    expect(request).toMatchObject({ from: "0.0.0.0", to: "255.255.255.255", clientAddress: "0.0.0.0" });
    expect(request?.options.get(50)).toBe("0a000005");
    expect(request?.options.get(54)).toBe("0a000001");
    expect(request?.options.get(55)).toBe("0301");
    expect(server.wires).toBe(0);
  });

  it("tells the server what the config provides, in place of what it would say itself", async () => {
    const provided = new Map([[12, Buffer.from("web")] as const, [61, Buffer.from("me")] as const]);
    const one = keeper({ provided, broadcast: true, requested: [] });
    await one.acquire();
    one.release();
    for (const { options } of server.requests) expect(options.get(61)).toBe(Buffer.from("me").toString("hex"));
    for (const { options, broadcast } of server.requests.slice(0, 2)) {
      expect(options.get(12)).toBe(Buffer.from("web").toString("hex"));
      expect(options.has(55)).toBe(false);
      expect(broadcast).toBe(true);
    }
  });

  it("says it again after 0.5, 1, 2, ... seconds, and how long it has waited", async () => {
    server.discover = "silence";
    const lease = keeper().acquire();
    await clock.pass(8000);
    expect(server.requests.map(({ seconds }) => seconds)).toEqual([0, 0, 1, 3, 7]);
    server.discover = "offer";
    // The first try ends at 10 s; the next begins 2 s later.
    await clock.pass(4000);
    expect(formatCidr((await lease).address)).toBe("10.0.0.5/24");
    expect(notes).toEqual(["no DHCP server offers an address: no answer"]);
  });

  it("gives up in time, and says why", async () => {
    server.discover = "silence";
    const failing = expect(keeper().acquire()).rejects.toMatchObject({
      code: "timeout",
      message: "no more tries after 60 s: no DHCP server offers an address: no answer",
    });
    await clock.pass(60_000);
    await failing;
    expect(server.wires).toBe(0);
  });

  it("begins anew after a refusal, with its reason in the log", async () => {
    server.request = "nak";
    const lease = keeper().acquire();
    await idle();
    expect(notes).toEqual(["DHCP server 10.0.0.1 refused 10.0.0.5: not here"]);
    server.request = "ack";
    await clock.pass(2000);
    await lease;
    expect(server.said()).toEqual(["DISCOVER", "REQUEST", "DISCOVER", "REQUEST"]);
  });

  it("goes on while the link is down, and says so in the end", async () => {
    server.link = "down";
    const failing = expect(keeper().acquire()).rejects.toThrow("send: ENETDOWN");
    await clock.pass(60_000);
    await failing;
  });

  it("fails at once where the interface is gone, or the answer has no mask", async () => {
    server.link = "gone";
    await expect(keeper().acquire()).rejects.toMatchObject({ code: "not-found" });
    server.link = "up";
    server.options = { 51: hex32(100) };
    await expect(keeper().acquire()).rejects.toMatchObject({ code: "decoding" });
  });

  it("ends when it is stopped", async () => {
    server.discover = "silence";
    const one = keeper();
    const failing = expect(one.acquire()).rejects.toMatchObject({ code: "io" });
    await clock.pass(11_000);
    one.stop();
    await failing;
    server.said();
    await clock.pass(100_000);
    expect(server.said()).toEqual([]);
    expect(server.wires).toBe(0);
  });
});

describe("the times of a lease", () => {
  it.each([
    ["a half and seven eighths of it", { 51: hex32(800) }, [400, 700, 800]],
    ["as the server says", { 51: hex32(800), 58: hex32(10), 59: hex32(20) }, [10, 20, 800]],
    ["an hour without a word", {}, [1800, 3150, 3600]],
    ["for ever", { 51: hex32(0xffffffff) }, [Infinity, Infinity, Infinity]],
    ["for ever, but looked after", { 51: hex32(0xffffffff), 58: hex32(60) }, [60, Infinity, Infinity]],
    ["a second at least", { 51: hex32(0) }, [0.5, 0.875, 1]],
    ["without those that make no sense", { 51: hex32(80), 58: hex32(90), 59: hex32(100) }, [40, 70, 80]],
    ["T1 before T2", { 51: hex32(80), 58: hex32(30), 59: hex32(20) }, [20, 20, 80]],
  ])("are %s", async (_, options, [renew = 0, rebind = 0, end = 0]) => {
    server.options = { 1: "ffffff00", ...options };
    const { renewAt, rebindAt, expiresAt } = await keeper().acquire();
    expect([renewAt, rebindAt, expiresAt]).toEqual([renew * 1000, rebind * 1000, end * 1000]);
  });
});

describe("keeping it", () => {
  it("asks the server itself at T1, by the way that its answer came", async () => {
    const one = await bound();
    await clock.pass(49_999);
    expect(server.requests).toEqual([]);
    await clock.pass(1);
    expect(server.requests[0]).toMatchObject({
      from: "10.0.0.5",
      to: "10.0.0.1",
      link: "02:00:00:00:00:01",
      clientAddress: "10.0.0.5",
    });
    expect(server.requests[0]?.options.has(50)).toBe(false);
    expect(server.requests[0]?.options.has(54)).toBe(false);
    expect(told).toEqual(["bound 10.0.0.5/24 until 150"]);
    expect(one.lease?.expiresAt).toBe(150_000);
    await clock.pass(50_000);
    expect(server.said()).toEqual(["REQUEST 10.0.0.1", "REQUEST 10.0.0.1"]);
  });

  it("keeps what a server says only once", async () => {
    server.options = { ...server.options, 3: "0a000001" };
    const one = await bound();
    server.options = { 51: hex32(200) };
    await clock.pass(50_000);
    expect(told).toEqual(["bound 10.0.0.5/24 until 250"]);
    expect(one.lease?.options.get(3)).toEqual(Buffer.from("0a000001", "hex"));
  });

  it("asks all servers at T2, and takes the one that answers", async () => {
    const one = await bound();
    server.request = "silence";
    await clock.pass(87_500);
    expect(new Set(server.said())).toEqual(new Set(["REQUEST 10.0.0.1", "REQUEST"]));
    server.request = "ack";
    server.server = "10.0.0.9";
    await clock.pass(5000);
    expect(told).toEqual([`bound 10.0.0.5/24 until ${87.5 + 100}`]);
    expect(one.lease?.server).toEqual({ family: 4, value: 0x0a000009n });
    expect(notes).toContain("server 10.0.0.1 does not answer: asking any for 10.0.0.5");
  });

  it("asks a server that knows nothing of the lease for a new one of the same address", async () => {
    await bound();
    server.request = "ack those of its offers";
    await clock.pass(87_500);
    server.said();
    await clock.pass(6_250);
    expect(server.said()).toEqual(["REQUEST", "REQUEST", "REQUEST", "DISCOVER", "REQUEST"]);
    expect(told).toEqual([`bound 10.0.0.5/24 until ${87.5 + 6.25 + 100}`]);
  });

  it("asks for the address anew after a refusal", async () => {
    await bound();
    server.request = "nak";
    await clock.pass(50_000);
    expect(server.said()).toEqual(["REQUEST 10.0.0.1", "DISCOVER", "REQUEST"]);
    server.request = "ack";
    await clock.pass(2000);
    expect(told).toEqual(["bound 10.0.0.5/24 until 152"]);
    expect(notes).toContain("10.0.0.5 was refused: asking for it anew");
  });

  it("hears no refusal of a server that was not asked", async () => {
    await bound();
    server.request = "nak";
    server.server = "10.0.0.66";
    await clock.pass(87_499);
    expect(notes.filter((note) => note.includes("refused"))).toEqual([]);
    // From T2 on all are asked.
    await clock.pass(1);
    expect(notes).toContain("10.0.0.5 was refused: asking for it anew");
  });

  it("takes no other address, and is lost when the lease ends", async () => {
    const one = await bound();
    server.request = "nak";
    server.address = "10.0.0.77";
    await clock.pass(99_999);
    expect(server.said().filter((what) => what === "REQUEST")).toEqual([]);
    expect(told).toEqual([]);
    await clock.pass(1);
    expect(told).toEqual(["lost: the lease of 10.0.0.5/24 ended, and no server gave it again"]);
    expect(notes).toContain("server 10.0.0.1 offers 10.0.0.77 instead of 10.0.0.5");
    expect(one.lease).toBeUndefined();
    server.said();
    await clock.pass(1_000_000);
    expect(server.said()).toEqual([]);
  });

  it("is lost when the lease ends in silence, and not before", async () => {
    await bound();
    server.request = server.discover = "silence";
    await clock.pass(99_000);
    expect(told).toEqual([]);
    await clock.pass(1000);
    expect(told).toEqual(["lost: the lease of 10.0.0.5/24 ended, and no server gave it again"]);
    expect(server.wires).toBe(0);
  });

  it("ends when the interface is gone", async () => {
    await bound();
    server.link = "gone";
    await clock.pass(50_000);
    expect(told).toEqual(["gone: interface eth0 is gone"]);
  });

  it("goes on where a process before it was", async () => {
    const { lease } = await bound();
    const later = keeper();
    later.resume(lease as Lease);
    expect(told).toEqual([]);
    await clock.pass(50_000);
    expect(told).toEqual(["bound 10.0.0.5/24 until 150", "bound 10.0.0.5/24 until 150"]);
  });

  it("finds at once that a lease ended while no process looked after it", async () => {
    const one = await bound();
    const { lease } = one;
    one.stop();
    await clock.pass(200_000);
    keeper().resume(lease as Lease);
    await idle();
    expect(told).toEqual(["lost: the lease of 10.0.0.5/24 ended, and no server gave it again"]);
  });
});

describe("giving it back", () => {
  it("tells the server, from the address and by the way that its answer came", async () => {
    const one = await bound();
    one.release();
    expect(server.requests).toMatchObject([
      { type: 7, from: "10.0.0.5", to: "10.0.0.1", link: "02:00:00:00:00:01", clientAddress: "10.0.0.5" },
    ]);
    const [{ options } = { options: new Map() }] = server.requests;
    expect(options.get(54)).toBe("0a000001");
    expect(options.get(61)).toBe(Buffer.from(CLIENT.id).toString("hex"));
    server.said();
    await clock.pass(1_000_000);
    expect(server.said()).toEqual([]);
    expect(told).toEqual([]);
  });

  it("says nothing where there is no lease, or when it is done again", async () => {
    keeper().release();
    const one = await bound();
    one.release();
    one.release();
    expect(server.said()).toEqual(["RELEASE 10.0.0.1"]);
  });

  it("ends a renewal that is under way", async () => {
    const one = await bound();
    server.request = "silence";
    await clock.pass(55_000);
    one.release();
    server.said();
    await clock.pass(100_000);
    expect(server.said()).toEqual([]);
    expect(server.wires).toBe(0);
  });

  it("fails where the interface is gone", async () => {
    const one = await bound();
    server.link = "gone";
    expect(() => one.release()).toThrow("interface eth0 is gone");
  });

  it("goes another way where the interface is gone, if there is one", async () => {
    const one = await bound();
    server.link = "gone";
    let sent = "";
    one.release((message, to) => {
      sent = `${Buffer.from(message).toString("hex", 240, 243)} to ${formatAddress(to)}`;
    });
    expect(sent).toBe("350107 to 10.0.0.1");
  });
});
