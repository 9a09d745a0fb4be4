/**
 * A dump comes in several datagrams; here somebody changes the table between the first two. The kernel goes on by
 * counting, so what stands behind the change is missed, and says so with NLM_F_DUMP_INTR.
 */
import { expect, it, vi } from "vitest";
import { formatCidr, parseCidr } from "../../../lib/net/cidr.ts";
import { addrAdd, addrDel, addrList } from "../../../lib/netlink/addr.ts";
import { bridge } from "../../../lib/netlink/kinds.ts";
import { linkAdd, linkGet } from "../../../lib/netlink/link.ts";
import { RtSocket } from "../../../lib/netlink/socket.ts";
import { openNetns } from "../../../lib/sys/netns.ts";
import { Host } from "../../e2e/host.ts";

const between = vi.hoisted(() => ({ datagrams: undefined as (() => void) | undefined }));

vi.mock("../../../lib/sys/native.ts", async (importOriginal) => {
  const real = await importOriginal<typeof import("../../../lib/sys/native.ts")>();
  const receive: typeof real.receive = (fd, buffer, flags) => {
    const length = real.receive(fd, buffer, flags);
    const { datagrams } = between;
    between.datagrams = undefined;
    datagrams?.();
    return length;
  };
  return { ...real, receive };
});

it("a dump that was interrupted by a change is asked for again", async () => {
  await using host = await Host.create();
  const netns = openNetns(`/proc/${host.pid}/ns/net`);
  using socket = RtSocket.open(netns);
  using other = RtSocket.open(netns);
  linkAdd(socket, { name: "br0", kind: bridge() });
  const index = linkGet(socket, "br0")?.index ?? 0;
  const cidrs = Array.from({ length: 1000 }, (_, i) => `10.77.${i >> 7}.${(i & 127) + 1}/32`);
  for (const cidr of cidrs) addrAdd(socket, { index, cidr: parseCidr(cidr) });

  let changed = false;
  between.datagrams = () => {
    changed = cidrs.slice(0, 10).every((cidr) => addrDel(other, index, parseCidr(cidr)));
  };
  const seen = addrList(socket, { index, family: 4 }).map((addr) => formatCidr(addr.cidr));
  expect(changed).toBe(true);
  expect(seen).toEqual(cidrs.slice(10));
  netns.close();
});
