/** Questions and answers as they go by the wire. */
import { decode, encode, type Packet, RECURSION_DESIRED } from "dns-packet";
import { describe, expect, test } from "vitest";
import { type Asking, answerQuery, RCODE, type Transport } from "../../../standalone/names/answer.ts";
import { Zone } from "../../../standalone/names/zone.ts";
import { container, network } from "./records.ts";

const NET = network("net", { subnets: ["10.1.0.0/16"], gateways: ["10.1.0.1"] });
const SHUT = network("shut", { subnets: ["10.2.0.0/24"], gateways: ["10.2.0.1"], internal: true });
const CROWD = Array.from({ length: 100 }, (_, at) =>
  container(`c${at}`, [{ network: NET, addresses: [`10.1.1.${at}/16`], aliases: ["crowd"] }]),
);
const PAIR = ["10.1.2.1", "10.1.2.2", "10.1.2.3"].map((address, at) =>
  container(`pair${at}`, [{ network: NET, addresses: [`${address}/16`], aliases: ["pair"] }]),
);
const zone = new Zone({
  containers: [
    container("web", [{ network: NET, addresses: ["10.1.0.2/16"] }]),
    container("shut", [{ network: SHUT, addresses: ["10.2.0.2/24"] }]),
    ...CROWD,
    ...PAIR,
  ],
  networks: [NET, SHUT],
});

interface Query {
  readonly id?: string;
  readonly transport?: Transport;
  /** Bytes that the asker takes by EDNS; none without it. */
  readonly edns?: number;
  readonly ednsVersion?: number;
  readonly turn?: number;
}

function query(name: string, type: string, { edns, ednsVersion = 0 }: Query = {}): Buffer {
  const packet = {
    type: "query",
    id: 4711,
    flags: RECURSION_DESIRED,
    questions: [{ name, type, class: "IN" }],
    additionals:
      edns === undefined
        ? []
        : [{ type: "OPT", name: ".", udpPayloadSize: edns, extendedRcode: 0, ednsVersion, flags: 0, options: [] }],
  };
  return encode(packet as unknown as Packet);
}

function say(bytes: Buffer, { id = "p.web", transport = "udp", turn = 0 }: Query = {}) {
  const asking: Asking = { zone, id, transport, turn: () => turn };
  return answerQuery(bytes, asking);
}

function answer(bytes: Buffer, options: Query = {}) {
  const said = say(bytes, options);
  if (said.kind !== "answer") throw new Error(`nothing was answered: ${said.kind}`);
  const packet = decode(said.bytes);
  return {
    ...packet,
    rcode: (packet.flags ?? 0) & 0xf,
    data: packet.answers?.map((record) => ("data" in record ? record.data : undefined)),
    length: said.bytes.length,
    opt: packet.additionals?.find((record) => record.type === "OPT"),
  };
}

describe("an answer of ours", () => {
  test("has the question's number, name and case, may not be kept, and says whose it is", () => {
    const said = answer(query("WeB", "A"));
    expect(said).toMatchObject({ id: 4711, type: "response", flag_aa: true, flag_ra: true, flag_rd: true, rcode: 0 });
    expect(said.questions).toEqual([{ name: "WeB", type: "A", class: "IN" }]);
    expect(said.answers).toEqual([{ name: "WeB", type: "A", class: "IN", ttl: 0, flush: false, data: "10.1.0.2" }]);
    expect(said.additionals).toEqual([]);
  });

  test.each(["AAAA", "MX", "TXT", "UNKNOWN_65"])(
    "containers row 23: for %s of a name that has only A is NOERROR with no records",
    (type) => {
      const said = answer(query("web", type));
      expect(said.rcode).toBe(RCODE.NOERROR);
      expect(said.answers).toEqual([]);
    },
  );

  test("gives the name of an address", () => {
    expect(answer(query("2.0.1.10.in-addr.arpa", "PTR")).data).toEqual(["web.net"]);
    expect(answer(query("9.9.1.10.in-addr.arpa", "PTR")).rcode).toBe(RCODE.NXDOMAIN);
  });

  test("begins with another address each time", () => {
    const first = [0, 1, 2, 3].map((turn) => answer(query("pair", "A"), { turn }).data?.[0]);
    expect(first).toEqual(["10.1.2.1", "10.1.2.2", "10.1.2.3", "10.1.2.1"]);
    expect(answer(query("pair", "A"), { turn: 1 }).data).toEqual(["10.1.2.2", "10.1.2.3", "10.1.2.1"]);
  });

  test("that does not fit asks to come again by TCP, where all of it fits", () => {
    const short = answer(query("crowd", "A"));
    expect(short).toMatchObject({ flag_tc: true, rcode: 0 });
    expect(short.answers).toEqual([]);
    expect(answer(query("crowd", "A"), { transport: "tcp" }).data).toHaveLength(100);
  });

  test("may be as long as the asker's EDNS says", () => {
    const long = answer(query("crowd", "A", { edns: 4096 }));
    expect(long).toMatchObject({ flag_tc: false });
    expect(long.data).toHaveLength(100);
    expect(long.opt).toMatchObject({ udpPayloadSize: 1232, ednsVersion: 0 });
    expect(answer(query("crowd", "A", { edns: 1232 })).flag_tc).toBe(true);
  });

  test("to an EDNS of the future is BADVERS", () => {
    const said = answer(query("web", "A", { edns: 1232, ednsVersion: 1 }));
    expect(said.opt).toMatchObject({ extendedRcode: RCODE.BADVERS >> 4 });
    expect(said.answers).toEqual([]);
  });
});

describe("what is not ours", () => {
  test("is for somebody else", () => {
    expect(say(query("example.com", "A"))).toEqual({ kind: "elsewhere" });
  });

  test("is not there for a container of an internal network", () => {
    expect(answer(query("example.com", "A"), { id: "p.shut" }).rcode).toBe(RCODE.NXDOMAIN);
    expect(answer(query("shut", "A"), { id: "p.shut" }).data).toEqual(["10.2.0.2"]);
  });
});

describe("what is no question", () => {
  test("gets no answer if it is one itself, or no message", () => {
    const response = query("web", "A");
    response[2] = (response[2] ?? 0) | 0x80;
    expect(say(response)).toEqual({ kind: "nothing" });
    expect(say(Buffer.from("short"))).toEqual({ kind: "nothing" });
  });

  test("is told what is wrong with it", () => {
    const update = query("web", "A");
    update[2] = (update[2] ?? 0) | (5 << 3);
    expect(answer(update)).toMatchObject({ id: 4711, rcode: RCODE.NOTIMP });
    expect(answer(query("web", "A").subarray(0, 15))).toMatchObject({ id: 4711, rcode: RCODE.FORMERR });
    expect(answer(encode({ id: 4711, questions: [] }))).toMatchObject({ rcode: RCODE.FORMERR });
  });
});
