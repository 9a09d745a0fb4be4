import { expect, it } from "vitest";
import { afterWord, helpText, parseFlags } from "../../../plugins/dhcp/daemon/flags.ts";

const DEFAULTS = {
  pidFile: undefined,
  hostPrefix: "",
  socket: "/run/cni/tsnet-dhcp.sock",
  times: { timeout: 10_000, resendMax: 62_000, resendTimeout: 208_000 },
  broadcast: false,
};

it("the word before the flags is daemon, or a cry for help", () => {
  expect(afterWord(["daemon", "-broadcast"])).toEqual(["-broadcast"]);
  expect(parseFlags(afterWord(["--help"]))).toBeUndefined();
  expect(() => afterWord(["deamon"])).toThrow('found "deamon": write dhcp daemon, and its flags behind that');
});

it("the defaults are the reference's, but for the socket", () => {
  expect(parseFlags([])).toEqual(DEFAULTS);
});

it("all flags are read in Go's forms", () => {
  const argv = ["-pidfile", "/run/p", "--hostprefix=/host/", "-socketpath=/run/s", "-broadcast", "-timeout", "1s"];
  expect(parseFlags([...argv, "-resendmax=500ms", "--resendtimeout", "1m30s"])).toEqual({
    pidFile: "/run/p",
    hostPrefix: "/host",
    socket: "/run/s",
    times: { timeout: 1000, resendMax: 500, resendTimeout: 90_000 },
    broadcast: true,
  });
  expect(parseFlags(["-broadcast=false"])).toEqual(DEFAULTS);
});

it.each([
  [["-nope"], "no such flag: --nope"],
  [["-timeout", "soon"], "wanted is a duration"],
  [["-timeout", "0s"], "--timeout has to be more than 0"],
  [["-resendmax=-1s"], "--resendmax has to be more than 0"],
  [["-timeout"], "--timeout takes a value"],
  [["-broadcast=maybe"], "wanted is true or false"],
  [["-pidfile", "p"], 'Error writing pidfile "p": path not absolute'],
  [["-socketpath", "s"], 'a path that begins with "/"'],
  [["more"], 'unexpected argument "more"'],
])("%j is refused", (argv, message) => {
  expect(() => parseFlags(argv)).toThrow(message);
});

it("help names them all", () => {
  for (const asked of ["-h", "-help", "--help"]) expect(parseFlags([asked])).toBeUndefined();
  for (const flag of ["pidfile", "hostprefix", "socketpath", "broadcast", "timeout", "resendmax", "resendtimeout"]) {
    expect(helpText()).toContain(`-${flag} `);
  }
});
