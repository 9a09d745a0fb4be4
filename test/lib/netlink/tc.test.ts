/**
 * Traffic control's messages beside those that `tc` of iproute2 6.1 sends for the same command, traced with strace in
 * a namespace where v0 is link 3 and ifb7 link 4; and what a kernel makes of them.
 */
import { AttrStream, type StreamData } from "netlink/dist/structs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { redirectAdd, redirectBody, redirectList } from "../../../lib/netlink/filter.ts";
import { type Link, linkAdd, linkDel, linkGet } from "../../../lib/netlink/link.ts";
import {
  ingressAdd,
  ingressBody,
  isTbf,
  qdiscDel,
  qdiscGet,
  tbfAdd,
  tbfBody,
  tbfBuffer,
} from "../../../lib/netlink/qdisc.ts";
import { RtSocket } from "../../../lib/netlink/socket.ts";
import { type Netns, openNetns } from "../../../lib/sys/netns.ts";
import { Host } from "../../e2e/host.ts";

const V0 = 3;
const IFB7 = 4;

function hex(body: StreamData): string {
  const stream = new AttrStream();
  stream.emit(body);
  return Buffer.concat(stream.bufs).toString("hex");
}

/** Hex with white space in it, one attribute a line. */
function bytes(text: TemplateStringsArray): string {
  return text.join("").replace(/\s/g, "");
}

describe("messages are those of tc", () => {
  it("tc qdisc add dev v0 root handle 1: tbf rate 8mbit burst 100kb latency 25ms, less its table of rates", () => {
    // tc adds TCA_TBF_BURST (0x6), which says the same as the buffer, and TCA_TBF_RTAB (0x2), unread since Linux 3.8.
    expect(hex(tbfBody(V0, { rate: 1_000_000, burst: 102_400, limit: 127_400 }))).toBe(bytes`
      0000000003000000 00000100 ffffffff 00000000
      08000100 74626600
      2c000200
      28000100 030100 00ffff0000 40420f00 000000000000000000000000 a8f10100 006a1800 00000000
    `);
  });

  it("tc qdisc add dev ifb7 root handle 1: tbf rate 40gbit limit 1000000000, beyond what 32 bits hold", () => {
    const message = hex(tbfBody(IFB7, { rate: 5_000_000_000, burst: 104_857_600, limit: 1_000_000_000 }));
    // But for the buffer, which tc takes from the 32 bits of the rate: 0x05d21c ticks instead of 0x04fff7.
    expect(message).toBe(bytes`
      0000000004000000 00000100 ffffffff 00000000
      08000100 74626600
      38000200
      28000100 030100 00ffff0000 ffffffff 000000000000000000000000 00ca9a3b f7ff0400 00000000
      0c000400 00f2052a01000000
    `);
  });

  it("tc qdisc add dev v0 ingress", () => {
    expect(hex(ingressBody(V0))).toBe(bytes`
      0000000003000000 0000ffff f1ffffff 00000000
      0c000100 696e677265737300
    `);
  });

  it("tc filter add dev v0 parent ffff: protocol all prio 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev ifb7", () => {
    // But for NLA_F_NESTED (0x8000) on TCA_ACT_OPTIONS, which the kernel does not ask for.
    expect(hex(redirectBody(V0, IFB7, "u32"))).toBe(bytes`
      0000000003000000 00000000 0000ffff 00030100
      08000100 75333200
      68000200
      08000100 01000100
      38000700 34000100
      0b000100 6d69727265640000
      24000200 20000200 00000000 00000000 04000000 00000000 00000000 01000000 04000000
      24000500 01000100 00000000 0000000000000000 00000000000000000000000000000000
    `);
  });

  it("tc filter add dev v0 parent ffff: protocol all prio 1 matchall action mirred egress redirect dev ifb7", () => {
    expect(hex(redirectBody(V0, IFB7, "matchall"))).toBe(bytes`
      0000000003000000 00000000 0000ffff 00030100
      0d000100 6d61746368616c6c 00000000
      3c000200
      38000200 34000100
      0b000100 6d69727265640000
      24000200 20000200 00000000 00000000 04000000 00000000 00000000 01000000 04000000
    `);
  });
});

describe("a burst as time", () => {
  it("is in ticks of 64 ns, whole microseconds first, as the reference plugin counts", () => {
    expect(tbfBuffer({ rate: 1_000_000, burst: 102_400 })).toBe(1_600_000);
    expect(tbfBuffer({ rate: 3, burst: 1 })).toBe(5_208_328);
  });

  it("that 32 bits of ticks cannot hold goes in bytes, and is not cut to the rest", () => {
    // 4 GiB less a bit at 1 Mbit/s are 9.5 hours.
    const message = hex(tbfBody(V0, { rate: 125_000, burst: 4_294_967_294, limit: 4_294_967_295 }));
    expect(message).toContain("ffffffff00000000");
    expect(message.endsWith("08000600feffffff")).toBe(true);
  });
});

describe("in the kernel", () => {
  let host: Host;
  let netns: Netns;
  let socket: RtSocket;

  beforeAll(async () => {
    host = await Host.create();
    netns = openNetns(`/proc/${host.pid}/ns/net`);
    socket = RtSocket.open(netns);
  });
  afterAll(async () => {
    socket.close();
    netns.close();
    await host.destroy();
  });
  afterEach(() => {
    for (const name of ["a", "b"]) linkDel(socket, name);
  });

  function ifb(name: string): Link {
    linkAdd(socket, { name, kind: { kind: "ifb" }, up: true });
    const link = linkGet(socket, name);
    if (link === undefined) throw new Error(`no link ${name}`);
    return link;
  }

  it.each([
    ["small", { rate: 1, burst: 1, limit: 1 }],
    ["usual", { rate: 1_250_000, burst: 32_000, limit: 63_250 }],
    ["with a burst of many hours", { rate: 125_000, burst: 4_294_967_294, limit: 4_294_967_295 }],
    ["with containerd's burst, 2^32 - 1 bits", { rate: 128_000, burst: 536_870_911, limit: 536_874_111 }],
    ["of 40 Gbit/s", { rate: 5_000_000_000, burst: 104_857_600, limit: 229_857_600 }],
  ])("a bucket is read back as it was made: %s", (_, tbf) => {
    const link = ifb("a");
    tbfAdd(socket, link, tbf);
    const found = qdiscGet(socket, link.index, "root");
    expect(found).toMatchObject({ kind: "tbf", tbf: { rate: tbf.rate, limit: tbf.limit } });
    expect(isTbf(found, tbf)).toBe(true);
    for (const other of [
      { rate: tbf.rate * 2 },
      { limit: tbf.limit - 1 },
      { burst: Math.ceil(tbf.burst / 2 + 1) * 3 },
    ]) {
      expect(isTbf(found, { ...tbf, ...other })).toBe(false);
    }
  });

  it("tc reads the bucket as it was meant", async () => {
    tbfAdd(socket, ifb("a"), { rate: 1_000_000, burst: 102_400, limit: 127_400 });
    expect(await host.sh("tc qdisc show dev a")).toContain("tbf 1: root refcnt 2 rate 8Mbit burst 100Kb lat 25ms");
  });

  it("a second bucket is refused, as is a second hook", () => {
    const link = ifb("a");
    const tbf = { rate: 1000, burst: 2000, limit: 2000 };
    tbfAdd(socket, link, tbf);
    ingressAdd(socket, link);
    expect(() => tbfAdd(socket, link, tbf)).toThrow(/^add qdisc tbf to a: .*\(EEXIST\)/);
    expect(() => ingressAdd(socket, link)).toThrow(/^add qdisc ingress to a: .*\(EEXIST\)/);
  });

  it("a redirection is found, and gone with its hook; deleting what is not there is fine", () => {
    const [a, b] = [ifb("a"), ifb("b")];
    expect(redirectList(socket, a.index)).toEqual([]);
    ingressAdd(socket, a);
    redirectAdd(socket, a, b.index);
    expect(redirectList(socket, a.index)).toEqual([b.index]);
    expect(qdiscGet(socket, a.index, "ingress")?.kind).toBe("ingress");
    expect(qdiscDel(socket, a.index, "ingress")).toBe(true);
    expect(redirectList(socket, a.index)).toEqual([]);
    expect(qdiscGet(socket, a.index, "ingress")).toBeUndefined();
    expect(qdiscDel(socket, a.index, "ingress")).toBe(false);
    expect(qdiscDel(socket, 99, "root")).toBe(false);
    expect(qdiscGet(socket, 99, "root")).toBeUndefined();
  });

  it("a filter for some packets only is no redirection of everything", async () => {
    const [a, b] = [ifb("a"), ifb("b")];
    ingressAdd(socket, a);
    await host.sh(
      "tc filter add dev a parent ffff: protocol ip u32 match ip dport 80 0xffff action mirred egress redirect dev b",
    );
    await host.sh(
      "tc filter add dev a parent ffff: protocol all prio 9 u32 match u32 0 0 action mirred egress mirror dev b",
    );
    expect(redirectList(socket, a.index)).toEqual([]);
    redirectAdd(socket, a, b.index);
    expect(redirectList(socket, a.index)).toEqual([b.index]);
  });
});
