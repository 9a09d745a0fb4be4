import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Log } from "../../../lib/daemon/log.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { STATE_FILE } from "../../../lib/overlay/state.ts";
import { SUBNET_FILE } from "../../../lib/overlay/subnetenv.ts";
import { parseNetworkList } from "../../../lib/runtime/list.ts";
import { removeConflist, renderConflist, writeConflist } from "../../../overlay/files/conflist.ts";
import { hasContainers } from "../../../overlay/files/containers.ts";
import { readVtep, removeVtep, writeVtep } from "../../../overlay/files/identity.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(`${tmpdir()}/overlay-files-`);
});
afterEach(() => rmSync(root, { recursive: true }));

describe("the VTEP's MAC on disk", () => {
  it.each([
    [{ 4: "0a:00:00:00:00:01", 6: "0a:00:00:00:00:02" }],
    [{ 4: "0a:00:00:00:00:01" }],
    [{ 6: "0a:00:00:00:00:02" }],
    [{}],
  ])("row 15: %j is what the next start reads", (macs) => {
    const dataDir = `${root}/var/overlay`;
    expect(readVtep(dataDir)).toEqual({});
    writeVtep(dataDir, macs);
    expect(readVtep(dataDir)).toEqual(macs);
    const { ino } = statSync(`${dataDir}/vtep.json`);
    writeVtep(dataDir, macs);
    expect(statSync(`${dataDir}/vtep.json`).ino).toBe(ino);
    expect([removeVtep(dataDir), removeVtep(dataDir)]).toEqual([true, false]);
  });

  it("is read in whatever form it was written by hand", () => {
    writeFileSync(`${root}/vtep.json`, '{"ipv4": "0A-00-00-00-00-01"}');
    expect(readVtep(root)).toEqual({ 4: "0a:00:00:00:00:01" });
  });

  it.each(["", "{", "[]", '"0a:00:00:00:00:01"', '{"ipv4": "0a:00"}', '{"ipv6": 7}', '{"ipv4": "01:00:5e:00:00:01"}'])(
    "is refused where it does not say: %j",
    (text) => {
      writeFileSync(`${root}/vtep.json`, text);
      expect(() => readVtep(root)).toThrow(
        /vtep\.json does not say what MAC this host's VTEP has .*remove the file .*--replace-lease/,
      );
    },
  );
});

describe("the network list", () => {
  const warnings: string[] = [];
  const log: Log = { info() {}, error() {}, debug() {}, warn: (message) => void warnings.push(message) };
  const places = { subnetFile: SUBNET_FILE, stateFile: STATE_FILE };
  const settings = () => ({ path: `${root}/net.d/10-tsnet.conflist`, name: "tsnet", bridge: "cni0" });
  beforeEach(() => void warnings.splice(0));

  it("says what runtimes need, and no more where everything is as usual", () => {
    expect(JSON.parse(renderConflist(settings(), places))).toEqual({
      cniVersion: "1.0.0",
      cniVersions: ["1.0.0", "1.1.0"],
      name: "tsnet",
      plugins: [
        { type: "overlay", bridge: "cni0" },
        { type: "portmap", capabilities: { portMappings: true } },
      ],
    });
    const elsewhere = renderConflist(settings(), { subnetFile: "/run/a.env", stateFile: "/run/b.json" });
    expect(parseNetworkList(elsewhere, "list").plugins[0]?.raw).toMatchObject({
      type: "overlay",
      subnetFile: "/run/a.env",
      stateFile: "/run/b.json",
    });
  });

  it("is written whole with its folder, and only where it says something else", () => {
    expect(writeConflist(settings(), places, log)).toBe(true);
    const { ino } = statSync(settings().path);
    expect(writeConflist(settings(), places, log)).toBe(false);
    expect(statSync(settings().path).ino).toBe(ino);
    writeFileSync(settings().path, "{}");
    expect(writeConflist(settings(), places, log)).toBe(true);
    expect(readFileSync(settings().path, "utf8")).toBe(renderConflist(settings(), places));
    expect(readdirSync(`${root}/net.d`)).toEqual(["10-tsnet.conflist"]);
    expect(warnings).toEqual([]);
  });

  it("is not written where none is wanted", () => {
    expect(writeConflist({ ...settings(), path: "" }, places, log)).toBe(false);
    expect(removeConflist({ ...settings(), path: "" })).toBe(false);
    expect(readdirSync(root)).toEqual([]);
  });

  it("comes with a warning that names the network that runtimes take instead", () => {
    mkdirSync(`${root}/net.d`);
    for (const name of ["10-flannel.conflist", "05-mine.conf", "00-notes.txt", "99-other.conflist"]) {
      writeFileSync(`${root}/net.d/${name}`, "{}");
    }
    writeConflist(settings(), places, log);
    expect(warnings).toEqual([
      expect.stringMatching(/net\.d\/05-mine\.conf sorts before 10-tsnet\.conflist: runtimes/),
    ]);
  });

  it("goes at clean-up; what somebody put in its place stays", () => {
    writeConflist(settings(), places, log);
    expect([removeConflist(settings()), removeConflist(settings())]).toEqual([true, false]);
    for (const text of ['{"plugins": [{"type": "bridge"}]}', "{", "[]", '{"plugins": [null]}']) {
      writeFileSync(settings().path, text);
      expect(removeConflist(settings())).toBe(false);
      expect(readFileSync(settings().path, "utf8")).toBe(text);
    }
  });
});

describe("whether containers have addresses of a subnet", () => {
  const subnets = { 4: parseCidr("10.244.1.0/24"), 6: parseCidr("fd00:244:0:1::/64") };
  const has = () => hasContainers(subnets, { bridge: "no-such-bridge", dataDir: root });
  const reserve = (network: string, address: string, text: string) => {
    mkdirSync(`${root}/${network}`, { recursive: true });
    writeFileSync(`${root}/${network}/${address}`, text);
    return `${root}/${network}/${address}`;
  };

  it.each([
    ["none in an empty store", []],
    ["none by reservations elsewhere", [["tsnet", "10.244.2.5", "c1\r\neth0"]]],
    ["none by what was reserved by hand", [["tsnet", "10.244.1.9", "the printer"]]],
    ["none by an empty file, of a plugin that died", [["tsnet", "10.244.1.9", ""]]],
    ["none by host-local's own files", [["tsnet", "last_reserved_ip.0", "10.244.1.9"]]],
  ])("%s", (_, files) => {
    for (const [network = "", address = "", text = ""] of files) reserve(network, address, text);
    expect(has()).toBe(false);
  });

  it.each([
    ["an address of the network", "tsnet", "10.244.1.5", "c1\r\neth0"],
    ["one of IPv6", "tsnet", "fd00:244:0:1::5", "c1\r\neth0"],
    ["one that flannel's plugin took, on a network of another name", "cbr0", "10.244.1.5", "c1\r\neth0"],
    ["one in the form of old plugins", "cbr0", "10.244.1.5", "c1"],
  ])("they have, by %s", (_, network, address, text) => {
    reserve(network, address, text);
    expect(has()).toBe(true);
  });

  it("they have not by what was reserved before the host's boot", () => {
    utimesSync(reserve("tsnet", "10.244.1.5", "c1\r\neth0"), 1000, 1000);
    expect(has()).toBe(false);
  });

  it("nothing is anybody's where there is no subnet", () => {
    reserve("tsnet", "10.244.1.5", "c1\r\neth0");
    expect(hasContainers({}, { bridge: "no-such-bridge", dataDir: root })).toBe(false);
  });
});
