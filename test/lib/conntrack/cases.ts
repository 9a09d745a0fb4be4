/**
 * What every connection tracking does, the kernel's and the one in memory: one set of cases, run on both.
 *
 * @module
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Conntrack, Flow, FlowFilter } from "../../../lib/conntrack/conntrack.ts";
import { parseAddress } from "../../../lib/net/address.ts";

/** One connection tracking to try. */
export interface Subject {
  readonly conntrack: Conntrack;
  /** Tracks exactly `flows`. */
  track(flows: readonly Flow[]): Promise<void>;
  close(): Promise<void>;
}

const CLIENT = parseAddress("10.0.0.1");
const HOST = parseAddress("10.0.0.9");
const CONTAINER = parseAddress("10.1.0.2");
const CLIENT6 = parseAddress("fd00::1");
const HOST6 = parseAddress("fd00::9");

const dns: Flow = {
  family: 4,
  proto: "udp",
  orig: { src: CLIENT, dst: HOST, sport: 4000, dport: 53 },
  reply: { src: CONTAINER, dst: CLIENT, sport: 5353, dport: 4000 },
};
const web: Flow = {
  family: 4,
  proto: "tcp",
  orig: { src: CLIENT, dst: HOST, sport: 4001, dport: 80 },
  reply: { src: HOST, dst: CLIENT, sport: 80, dport: 4001 },
};
const dns6: Flow = {
  family: 6,
  proto: "udp",
  orig: { src: CLIENT6, dst: HOST6, sport: 4002, dport: 53 },
  reply: { src: HOST6, dst: CLIENT6, sport: 53, dport: 4002 },
};
const CONTAINER6 = parseAddress("fd10::2");
const OTHER6 = parseAddress("fd00::2");
const web6: Flow = {
  family: 6,
  proto: "tcp",
  orig: { src: OTHER6, dst: HOST6, sport: 4003, dport: 80 },
  reply: { src: CONTAINER6, dst: OTHER6, sport: 8080, dport: 4003 },
};
const ping: Flow = {
  family: 4,
  proto: "icmp",
  orig: { src: CONTAINER, dst: CLIENT },
  reply: { src: CLIENT, dst: CONTAINER },
};
const FLOWS = [dns, web, dns6, web6, ping];

const FILTERS: readonly (readonly [string, FlowFilter, readonly Flow[]])[] = [
  ["a family", { family: 6 }, [dns6, web6]],
  ["a protocol", { family: 4, proto: "udp" }, [dns]],
  ["a published port", { family: 4, proto: "udp", dport: 53 }, [dns]],
  ["a port that nobody talked to", { family: 4, proto: "udp", dport: 54 }, []],
  ["the first packet's source", { family: 4, origSrc: CONTAINER }, [ping]],
  ["the first packet's destination", { family: 4, origDst: HOST }, [dns, web]],
  ["who answers", { family: 4, replySrc: CONTAINER }, [dns]],
  ["who is answered", { family: 4, replyDst: CLIENT }, [dns, web]],
  ["all of it", { family: 4, proto: "udp", dport: 53, origSrc: CLIENT, origDst: HOST, replySrc: CONTAINER }, [dns]],
  ["the first packet's source, IPv6", { family: 6, origSrc: OTHER6 }, [web6]],
  ["the first packet's destination, IPv6", { family: 6, origDst: HOST6 }, [dns6, web6]],
  ["who answers, IPv6", { family: 6, replySrc: CONTAINER6 }, [web6]],
  ["who is answered, IPv6", { family: 6, replyDst: CLIENT6 }, [dns6]],
  ["a published port, IPv6", { family: 6, proto: "tcp", dport: 80 }, [web6]],
  ["port and address, IPv6", { family: 6, proto: "tcp", dport: 80, replySrc: CONTAINER6 }, [web6]],
  ["port and another's address, IPv6", { family: 6, proto: "tcp", dport: 80, replySrc: HOST6 }, []],
  ["port and another's address", { family: 4, proto: "udp", dport: 53, replySrc: HOST }, []],
];

/** Runs all cases on what `open` opens. */
export function conntrackCases(title: string, open: () => Promise<Subject>): void {
  describe(title, () => {
    let subject: Subject;
    beforeAll(async () => {
      subject = await open();
    });
    beforeEach(() => subject.track(FLOWS));
    afterAll(() => subject.close());

    const all = async () => [
      ...(await subject.conntrack.listFlows({ family: 4 })),
      ...(await subject.conntrack.listFlows({ family: 6 })),
    ];

    test.each(FILTERS)("flows are listed and deleted by %s, and the others stay", async (_, filter, matching) => {
      const listed = await subject.conntrack.listFlows(filter);
      expect(listed).toHaveLength(matching.length);
      expect(listed).toEqual(expect.arrayContaining([...matching]));
      await subject.conntrack.deleteFlows(filter);
      const left = await all();
      expect(left).toHaveLength(FLOWS.length - matching.length);
      expect(left).toEqual(expect.arrayContaining(FLOWS.filter((flow) => !matching.includes(flow))));
      await subject.conntrack.deleteFlows(filter);
      expect(await all()).toHaveLength(left.length);
    });

    test("those of the flows that match are deleted that are doomed, and counted", async () => {
      const asked: Flow[] = [];
      const doomed = (flow: Flow) => {
        asked.push({ family: flow.family, proto: flow.proto, orig: flow.orig, reply: flow.reply });
        return flow.reply.src.value === CONTAINER.value;
      };
      expect(await subject.conntrack.deleteFlowsIf({ family: 4, proto: "tcp" }, doomed)).toBe(0);
      expect(asked.splice(0)).toEqual([web]);
      expect(await subject.conntrack.deleteFlowsIf({ family: 6, proto: "udp" }, doomed)).toBe(0);
      expect(asked.splice(0)).toEqual([dns6]);
      expect(await subject.conntrack.deleteFlowsIf({ family: 4, proto: "udp" }, doomed)).toBe(1);
      expect(asked.splice(0)).toEqual([dns]);
      expect(await subject.conntrack.deleteFlowsIf({ family: 4, proto: "udp" }, doomed)).toBe(0);
      expect(await all()).toHaveLength(FLOWS.length - 1);
    });

    test("a port without a protocol, or an address of the other family, is refused", async () => {
      for (const filter of [
        { family: 4, dport: 53 },
        { family: 4, origDst: HOST6 },
      ] as const) {
        await expect(subject.conntrack.deleteFlows(filter)).rejects.toMatchObject({ code: "invalid" });
        await expect(subject.conntrack.deleteFlowsIf(filter, () => true)).rejects.toMatchObject({ code: "invalid" });
        await expect(subject.conntrack.listFlows(filter)).rejects.toMatchObject({ code: "invalid" });
      }
      expect(await all()).toHaveLength(FLOWS.length);
    });
  });
}
