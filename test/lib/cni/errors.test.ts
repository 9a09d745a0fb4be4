import { describe, expect, it } from "vitest";
import { fromCniError, toCniError } from "../../../lib/cni/errors.ts";
import { type ErrorCode, TsnetError } from "../../../lib/errors.ts";

describe("an error for the caller", () => {
  it.each<[ErrorCode, number]>([
    ["incompatible-version", 1],
    ["unsupported", 2],
    ["environment", 4],
    ["io", 5],
    ["decoding", 6],
    ["invalid", 7],
    ["invalid-netns", 8],
    ["busy", 11],
    ["exhausted", 11],
  ])("%s has the specification's number %d", (code, number) => {
    expect(toCniError(new TsnetError("so", { code }), "1.0.0")).toEqual({
      cniVersion: "1.0.0",
      code: number,
      msg: "so",
    });
  });

  it.each<ErrorCode>(["exists", "conflict", "not-found", "check-failed", "kernel-lacks", "program"])(
    "%s has a number that the specification leaves to plugins",
    (code) => {
      expect(toCniError(new TsnetError("so", { code }), "1.0.0").code).toBeGreaterThanOrEqual(100);
    },
  );

  it("carries details where there are some", () => {
    const error = new TsnetError("so", { code: "invalid", details: "and so" });
    expect(toCniError(error, "0.4.0")).toEqual({ cniVersion: "0.4.0", code: 7, msg: "so", details: "and so" });
  });

  it("of STATUS says 50 for a pool that is used up and for a plugin that is busy", () => {
    expect(toCniError(new TsnetError("full", { code: "exhausted" }), "1.1.0", "STATUS").code).toBe(50);
    expect(toCniError(new TsnetError("busy", { code: "busy" }), "1.1.0", "STATUS").code).toBe(50);
    expect(toCniError(new TsnetError("wrong", { code: "invalid" }), "1.1.0", "STATUS").code).toBe(7);
  });

  it("that nobody typed is 999", () => {
    expect(toCniError(new TypeError("oops"), "1.1.0")).toEqual({ cniVersion: "1.1.0", code: 999, msg: "oops" });
  });

  it("of a plugin that we called keeps its number, message and details", () => {
    const error = fromCniError({ code: 11, msg: "later", details: "much later" });
    expect(error).toMatchObject({ code: "plugin", cniCode: 11, message: "later" });
    expect(toCniError(error, "1.0.0")).toEqual({ cniVersion: "1.0.0", code: 11, msg: "later", details: "much later" });
  });

  it.each([null, [], "x", {}, { code: "7" }, { msg: "x" }, { code: 1.5, msg: "x" }])("is not made of %j", (json) => {
    expect(() => fromCniError(json)).toThrow(expect.objectContaining({ code: "decoding" }));
  });
});
