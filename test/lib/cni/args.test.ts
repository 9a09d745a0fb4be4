import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCniArgs } from "../../../lib/cni/args.ts";

const read = (text: string) => Object.fromEntries(parseCniArgs(text, ["IP", "MAC"]));

describe("CNI_ARGS", () => {
  it("is pairs separated by semicolons", () => {
    expect(read("")).toEqual({});
    expect(read("IP=10.1.0.5;MAC=0a:58:0a:01:00:05")).toEqual({ IP: "10.1.0.5", MAC: "0a:58:0a:01:00:05" });
    expect(read("IP=")).toEqual({ IP: "" });
  });

  it("ignores what it does not know only if IgnoreUnknown says so, anywhere in the list", () => {
    const kubelet =
      "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=x;K8S_POD_UID=y";
    expect(read(kubelet)).toEqual({});
    expect(read("FOO=bar;IP=10.1.0.5;IgnoreUnknown=true")).toEqual({ IP: "10.1.0.5" });
    expect(() => read("FOO=bar;IgnoreUnknown=0")).toThrow('ARGS: unknown args ["FOO=bar"]');
    expect(() => read("FOO=bar")).toThrow(expect.objectContaining({ code: "environment" }));
  });

  it("has case-sensitive keys", () => {
    expect(() => read("ip=10.1.0.5")).toThrow('ARGS: unknown args ["ip=10.1.0.5"]');
    expect(() => read("FOO=bar;ignoreunknown=1")).toThrow("ARGS: unknown args");
  });

  it.each(["none", "IP=10.1.0.5;", "IP=a=b", ";", "IP"])("refuses %j: each pair has exactly one =", (text) => {
    expect(() => read(text)).toThrow(/ARGS: invalid pair/);
  });

  it("refuses an IgnoreUnknown that is neither", () => {
    expect(() => read("IgnoreUnknown=yes")).toThrow('ARGS: error parsing value of pair "IgnoreUnknown=yes"');
  });

  it("of any text is parsed or refused with a code", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          read(text);
        } catch (error) {
          expect(error).toMatchObject({ name: "TsnetError", code: "environment" });
        }
      }),
    );
  });
});
