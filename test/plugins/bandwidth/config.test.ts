import { describe, expect, it } from "vitest";
import { parseNetConf } from "../../../lib/cni/config.ts";
import { parseJsonObject } from "../../../lib/cni/object.ts";
import type { PluginCall } from "../../../lib/cni/types.ts";
import { type Limits, parseConfig } from "../../../plugins/bandwidth/config.ts";
import { ifbName, planShaping, referenceIfbName } from "../../../plugins/bandwidth/plan.ts";

const attachment = { network: "net1", containerId: "c1", ifname: "eth0" };

function parse(conf: object, bandwidth?: unknown): Limits {
  const runtimeConfig = bandwidth === undefined ? {} : { bandwidth };
  return parseText(JSON.stringify({ cniVersion: "1.0.0", name: "net1", type: "bandwidth", runtimeConfig, ...conf }));
}

function parseText(stdin: string): Limits {
  const call: PluginCall = {
    command: "ADD",
    containerId: "c1",
    netns: "/run/netns/c1",
    ifname: "eth0",
    path: [],
    args: "",
    stdin,
    conf: parseNetConf(parseJsonObject(stdin, "config")),
    attachment,
  };
  return parseConfig(call);
}

describe("bandwidth's config", () => {
  it("is in bits, and what waits longer than 25 ms is dropped", () => {
    expect(parse({ ingressRate: 8_000_000, ingressBurst: 80_000 })).toEqual({
      ingress: { rate: 1_000_000, burst: 10_000, limit: 35_000 },
    });
    expect(parse({ EgressRate: 123, egressburst: 456 })).toEqual({ egress: { rate: 15, burst: 57, limit: 57 } });
  });

  it.each([
    ["nothing", {}, undefined, {}],
    ["the runtime's alone", {}, { ingressRate: 80, ingressBurst: 80 }, { ingress: { rate: 10, burst: 10, limit: 10 } }],
    [
      "the config's before the runtime's, as a whole",
      { egressRate: 80, egressBurst: 80 },
      { ingressRate: 160, ingressBurst: 160, egressRate: 160, egressBurst: 160 },
      { egress: { rate: 10, burst: 10, limit: 10 } },
    ],
    ["the config's zeros before the runtime's", { ingressRate: 0 }, { ingressRate: 80, ingressBurst: 80 }, {}],
    ["zeros of the runtime", {}, { ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 }, {}],
    ["null of the runtime", {}, null, {}],
  ])("has %s", (_, conf, bandwidth, wanted) => {
    expect(parse(conf, bandwidth)).toEqual(wanted);
  });

  it.each([
    ["a rate without a burst", { ingressRate: 8 }, "if rate is set, burst must also be set: ingressRate"],
    ["a burst without a rate", { egressBurst: 8 }, "if burst is set, rate must also be set: egressBurst"],
    ["a burst of 4 GB", { ingressRate: 8, ingressBurst: 8 * (2 ** 32 - 1) }, "burst cannot be more than 4GB"],
    ["less than a byte a second", { ingressRate: 7, ingressBurst: 8 }, "ingressRate is 7 bits"],
    ["less than a byte of burst", { egressRate: 8, egressBurst: 7 }, "egressBurst is 7 bits"],
    ["a negative rate", { ingressRate: -8, ingressBurst: 8 }, "ingressRate is -8"],
    ["a fraction", { ingressRate: 8.5, ingressBurst: 8 }, "ingressRate is 8.5"],
    ["more than 64 bits", { ingressRate: 2 ** 65, ingressBurst: 8 }, "ingressRate is 36893488147419103000"],
    ["text", { ingressRate: "8M", ingressBurst: 8 }, 'must be a number, not "8M"'],
  ])("refuses %s", (_, conf, message) => {
    expect(() => parse(conf)).toThrow(message);
    expect(() => parse({}, conf)).toThrow(message);
  });

  it("takes the largest numbers of both", () => {
    const stdin = `{"cniVersion":"1.0.0","name":"n","ingressRate":18446744073709551615,"ingressBurst":34359738359}`;
    const { ingress } = parseText(stdin);
    expect(ingress).toEqual({ rate: 2 ** 61, burst: 2 ** 32 - 2, limit: 2 ** 32 - 1 });
  });
});

describe("bandwidth's plan", () => {
  const hostEnd = { index: 7, name: "veth1", mtu: 1400 };
  const tbf = { rate: 1, burst: 2, limit: 3 };

  it("needs an ifb only for what the container sends", () => {
    expect(planShaping(attachment, { ingress: tbf }, hostEnd)).toEqual({ hostEnd, ingress: tbf, egress: undefined });
    const { egress } = planShaping(attachment, { egress: tbf }, hostEnd);
    expect(egress).toMatchObject({ tbf, ifb: { name: ifbName(attachment), mtu: 1400, alias: "tsnet net1 c1 eth0" } });
  });

  it("names an ifb after the interface, too, unlike the reference", () => {
    const other = { ...attachment, ifname: "eth1" };
    expect(ifbName(attachment)).toMatch(/^bwp[0-9a-f]{12}$/);
    expect(ifbName(other)).not.toBe(ifbName(attachment));
    expect(referenceIfbName(other)).toBe(referenceIfbName(attachment));
    expect(referenceIfbName({ network: "test", containerId: "1234", ifname: "eth0" })).toBe("bwp2bbe0c48b91a");
  });
});
