import { describe, expect, test } from "vitest";
import { canonicalArguments as canonical } from "../../../lib/daemon/argv.ts";
import { FLAGS as OVERLAY_FLAGS } from "../../../overlay/config/names.ts";
import { FLAGS } from "../../../proxy/config/names.ts";

describe("arguments in Go's forms", () => {
  test.each([
    [["--cluster-cidr=10.0.0.0/8"], ["--cluster-cidr=10.0.0.0/8"]],
    [["--cluster-cidr", "10.0.0.0/8"], ["--cluster-cidr=10.0.0.0/8"]],
    [["--cluster_cidr", "10.0.0.0/8"], ["--cluster-cidr=10.0.0.0/8"]],
    [["--metrics-bind-address="], ["--metrics-bind-address="]],
    [["--metrics-bind-address", ""], ["--metrics-bind-address="]],
    [["--hostname-override", "--v"], ["--hostname-override=--v"]],
    [["--master", "https://a?b=c"], ["--master=https://a?b=c"]],
    [["--master=https://a?b=c"], ["--master=https://a?b=c"]],
    [["--oom-score-adj", "-999"], ["--oom-score-adj=-999"]],
    [["-v", "2"], ["--v=2"]],
    [["-v=2"], ["--v=2"]],
    [["-v2"], ["--v=2"]],
    [["--v", "2"], ["--v=2"]],
    [["--v=2"], ["--v=2"]],
    [["--version"], ["--version=true"]],
    [["--version=raw"], ["--version=raw"]],
  ])("%j is %j", (given, wanted) => {
    expect(canonicalArguments(given)).toEqual(wanted);
  });

  test("a bool takes no word after it", () => {
    expect(canonicalArguments(["--masquerade-all", "true", "--cleanup=false"])).toEqual([
      "--masquerade-all=true",
      "true",
      "--cleanup=false",
    ]);
  });

  test("what no flag explains is left for the command to name, without its value", () => {
    expect(canonicalArguments(["--clustr_cidr=1", "-x", "word", "--v"])).toEqual([
      "--clustr-cidr",
      "-x",
      "word",
      "--v",
    ]);
    expect(canonicalArguments(["--", "--v", "2"])).toEqual(["--", "--v", "2"]);
  });

  test("names that every object has are no flags", () => {
    expect(canonicalArguments(["--constructor", "x", "--toString"])).toEqual(["--constructor", "x", "--toString"]);
  });
});

describe("arguments of a daemon that takes one dash too", () => {
  const oneDash = (argv: readonly string[]) => canonical(argv, OVERLAY_FLAGS, { oneDash: true });

  test.each([
    [["-iface", "eth0"], ["--iface=eth0"]],
    [["-iface=eth0"], ["--iface=eth0"]],
    [["--iface", "eth0"], ["--iface=eth0"]],
    [
      ["-ip-masq", "-kube-subnet-mgr"],
      ["--ip-masq=true", "--kube-subnet-mgr=true"],
    ],
    [["-ip-masq=false"], ["--ip-masq=false"]],
    [["-version"], ["--version=true"]],
    [["-vmodule", "x=1"], ["--vmodule=x=1"]],
    [["-v", "2"], ["--v=2"]],
    [["-v=2"], ["--v=2"]],
    [["-v2"], ["--v=2"]],
    [["-h"], ["-h"]],
    [["-iface-regx=a"], ["--iface-regx"]],
    [["-"], ["-"]],
  ])("%j is %j", (given, wanted) => {
    expect(oneDash(given)).toEqual(wanted);
  });
});

function canonicalArguments(argv: readonly string[]): readonly string[] {
  return canonical(argv, FLAGS);
}
