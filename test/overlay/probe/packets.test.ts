import { describe, expect, it } from "vitest";
import { parseAddress } from "../../../lib/net/address.ts";
import {
  type Ends,
  echoReply,
  echoRequest,
  emptyUdp,
  TCP_ACK,
  TCP_SYN,
  tcpSegment,
} from "../../../overlay/probe/packets.ts";

const V4: Ends = {
  source: parseAddress("10.244.1.0"),
  sourcePort: 40000,
  destination: parseAddress("10.244.2.0"),
  port: 9,
};
const V6: Ends = { ...V4, source: parseAddress("fd00:244:1::"), destination: parseAddress("fd00:244:2::") };

// The checksums were computed by another program, from RFC 1071 and the pseudo-headers.
describe("bytes on the wire", () => {
  it.each([
    [
      "a SYN over IPv4",
      tcpSegment(V4, { flags: TCP_SYN, sequence: 0x01020304 }),
      "9c40000901020304000000006002faf0e5020000020404b0",
    ],
    [
      "a SYN over IPv6",
      tcpSegment(V6, { flags: TCP_SYN, sequence: 0x01020304 }),
      "9c40000901020304000000006002faf0ff5d0000020404b0",
    ],
    [
      "an ACK over IPv4",
      tcpSegment(V4, { flags: TCP_ACK, sequence: 7 }),
      "9c40000900000007000000076010faf0e8ec0000020404b0",
    ],
    ["an empty datagram over IPv4, with no checksum", emptyUdp(V4), "9c40000900080000"],
    ["an empty datagram over IPv6", emptyUdp(V6), "9c40000900086508"],
    [
      "an echo request over IPv4",
      echoRequest(4, { id: 1, sequence: 2, data: Buffer.from("abcd") }),
      "080033360001000261626364",
    ],
  ])("are those of %s", (_, packet, hex) => {
    expect(packet.toString("hex")).toBe(hex);
  });
});

it("an echo reply is known by its type and id", () => {
  const reply = Buffer.from("0000000000070001aabb", "hex");
  expect(echoReply(4, reply, 7)?.toString("hex")).toBe("aabb");
  expect(echoReply(4, reply, 8)).toBeUndefined();
  expect(echoReply(6, reply, 7)).toBeUndefined();
  expect(echoReply(6, Buffer.from("8100000000070001", "hex"), 7)?.length).toBe(0);
  expect(echoReply(4, reply.subarray(0, 7), 7)).toBeUndefined();
});
