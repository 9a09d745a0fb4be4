import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../../lib/daemon/clock.ts";
import type { Log } from "../../../lib/daemon/log.ts";
import { parseAddress } from "../../../lib/net/address.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import type { Source } from "../../../overlay/source/source.ts";
import { staticSource } from "../../../overlay/source/static.ts";
import type { Claim } from "../../../overlay/types.ts";
import { A, B, C, claimOf, NETWORK, type SourceWorld, sourceCases, type WrittenHost } from "./cases.ts";
import { Recorder } from "./recorder.ts";

let directory: string;
let file: string;
let warnings: string[];
let sources: Source[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsnet-static-"));
  file = join(directory, "overlay.yaml");
  warnings = [];
  sources = [];
});
afterEach(async () => {
  for (const source of sources) await source.stop();
  rmSync(directory, { recursive: true });
});

const log: Log = { info() {}, warn: (message) => warnings.push(message), error() {}, debug() {} };

function open(nodeName: string, clock: Clock = systemClock): Source {
  const source = staticSource({ kind: "static", file, nodeName }, { log, clock });
  sources.push(source);
  return source;
}

function listen(nodeName: string): { readonly source: Source; readonly heard: Recorder } {
  const source = open(nodeName);
  const heard = new Recorder();
  source.start(heard);
  return { source, heard };
}

function write(hosts: readonly object[], network: unknown = NETWORK): void {
  writeFileSync(file, JSON.stringify({ network, hosts }));
}

describe("the cases of all sources", () => {
  sourceCases("static", async () => new FileWorld());
});

/** The file that lists all hosts, and whoever edits it. */
class FileWorld implements SourceWorld {
  readonly hostsWrite = false;
  #network: object | string = NETWORK;
  readonly #hosts = new Map<string, object>();
  #lost = false;

  async setNetwork(config: object | string): Promise<void> {
    this.#network = config;
    this.#write();
  }

  async setHost(host: WrittenHost): Promise<void> {
    this.#hosts.set(host.name, host);
    this.#write();
  }

  async removeHost(name: string): Promise<void> {
    this.#hosts.delete(name);
    this.#write();
  }

  async spoilHost(name: string): Promise<void> {
    this.#hosts.set(name, { name, address: "nowhere", subnet: "10.244.2.0/24" });
    this.#write();
  }

  async assign(host: WrittenHost): Promise<void> {
    await this.setHost(host);
  }

  async lose(): Promise<void> {
    this.#lost = true;
    rmSync(file);
  }

  async regain(): Promise<void> {
    this.#lost = false;
    this.#write();
  }

  open(nodeName: string): Source {
    return open(nodeName);
  }

  async close(): Promise<void> {}

  #write(): void {
    if (!this.#lost) write([...this.#hosts.values()], this.#network);
  }
}

describe("the file", () => {
  test("is YAML as well, with both families of a host and a MAC that is the same everywhere", async () => {
    writeFileSync(
      file,
      `network: { Network: 10.244.0.0/16, IPv6Network: fd00:244::/48, EnableIPv6: true }
hosts:
  # The first two speak IPv6 too.
  - { name: a, address: [192.0.2.1, "fd50::1"], subnet: [10.244.1.0/24, "fd00:244:0:1::/64"] }
  - { name: b, address: [192.0.2.2, "fd50::2"], subnet: [10.244.2.0/24, "fd00:244:0:2::/64"], mac: 0A-00-00-00-00-02 }
  - { name: 3, address: 192.0.2.3, subnet: 10.244.3.0/24 }
`,
    );
    const [one, two] = [listen("a").heard, listen("b").heard];
    for (const heard of [one, two]) await heard.until("all", () => heard.all.size === 3);
    expect(one.hosts).toEqual([
      "3 10.244.3.0/24",
      "a 10.244.1.0/24 fd00:244:0:1::/64",
      "b 10.244.2.0/24 fd00:244:0:2::/64",
    ]);
    expect(one.all.get("b")?.parts[6]).toEqual({
      ...{ subnet: parseCidr("fd00:244:0:2::/64"), address: parseAddress("fd50::2"), mac: "0a:00:00:00:00:02" },
    });
    const [mac] = [one.all.get("a")?.parts[4]?.mac];
    expect(mac).toMatch(/^.[26ae](:[0-9a-f]{2}){5}$/);
    expect(one.all.get("a")?.parts[6]?.mac).toBe(mac);
    expect(one.all.get("3")?.parts[4]?.mac).not.toBe(mac);
    expect([...two.all]).toEqual([...one.all]);
  });

  test("with host-gw has no MACs", async () => {
    write([A], { ...NETWORK, Backend: { Type: "host-gw" } });
    const { heard } = listen("a");
    await heard.until("a", () => heard.all.size === 1);
    expect(heard.all.get("a")).toMatchObject({ backend: "host-gw", vni: undefined, parts: { 4: { mac: undefined } } });
  });

  test.each<readonly [string, object, string, string]>([
    ["no name", { address: "192.0.2.9", subnet: "10.244.9.0/24" }, "hosts[1]", "it has no name"],
    ["a name that is there already", { ...A, subnet: "10.244.9.0/24" }, "a", "two hosts have this name"],
    ["no subnet", { name: "z", address: "192.0.2.9" }, "z", "it has no subnet"],
    [
      "no address",
      { name: "z", subnet: "10.244.9.0/24" },
      "z",
      "it has 10.244.9.0/24 and no IPv4 address to send that to",
    ],
    [
      "an address of the other family",
      { name: "z", subnet: "10.244.9.0/24", address: "fd50::9" },
      "z",
      "it has 10.244.9.0/24 and no IPv4 address to send that to",
    ],
    ["two subnets of a family", { ...C, subnet: ["10.244.8.0/24", "10.244.9.0/24"] }, "c", "it has two IPv4 subnets"],
    [
      "a subnet with host bits",
      { ...C, subnet: "10.244.3.7/24" },
      "c",
      "its subnet 10.244.3.7/24 has host bits: 10.244.3.0/24 is meant, or another",
    ],
    [
      "a subnet that is none",
      { ...C, subnet: "10.244.3.0" },
      "c",
      "its subnet is 10.244.3.0, wanted is one such as 10.244.1.0/24",
    ],
    ["an address that is none", { ...C, address: "192.0.2" }, "c", 'its address: invalid IP address: "192.0.2"'],
    [
      "a group's MAC",
      { ...C, mac: "01:00:5e:00:00:01" },
      "c",
      "01:00:5e:00:00:01 is the MAC of a group, not of one device",
    ],
    ["a number as its subnet", { ...C, subnet: [24] }, "c", "its subnet has 24, which is no text"],
  ])("a host with %s is left out by name, the others go on", async (_, host, key, reason) => {
    write([A, host, B]);
    const { heard } = listen("b");
    await heard.until("a refusal", () => heard.bad.size > 0);
    expect([...heard.bad]).toEqual([[key, reason]]);
    expect(heard.hosts).toContain("b 10.244.2.0/24");
  });

  test.each<readonly [string, string, RegExp]>([
    ["no YAML", "network: [", /overlay\.yaml:1:\d+: /],
    [
      "two hosts without a dash between them",
      "network: { Network: 10.244.0.0/16 }\nhosts:\n  - name: a\n    subnet: 10.244.1.0/24\n    name: b\n",
      /overlay\.yaml:5:5: Map keys must be unique/,
    ],
    ["a list", "- a\n- b\n", /wanted are the keys network and hosts/],
    ["no network", "hosts: []\n", /network is missing: \{ Network: 10.244.0.0\/16 \} is the least/],
    ["no hosts", "network: { Network: 10.244.0.0/16 }\nhost: []\n", /hosts is missing: \[\] says that there are none/],
    ["hosts that are no list", "network: { Network: 10.244.0.0/16 }\nhosts: a\n", /hosts is no list/],
    ["a VNI out of range", "network: { Network: 10.244.0.0/16, Backend: { VNI: 16777216 } }\n", /Backend\.VNI/],
    [
      "a type that is not there",
      "network: { Network: 10.244.0.0/16, Backend: { Type: udp } }\n",
      /udp.*vxlan or host-gw/,
    ],
  ])("that is %s is told of as a whole, and what it said before holds on", async (_, text, reason) => {
    write([A, B]);
    const { heard } = listen("a");
    await heard.until("both", () => heard.all.size === 2);
    writeFileSync(file, text);
    await heard.until("a refusal", () => heard.bad.size > 0);
    expect(heard.bad.get(file)).toMatch(reason);
    expect(heard.hosts).toEqual(["a 10.244.1.0/24", "b 10.244.2.0/24"]);
    expect(heard.connections).toEqual(["up"]);
    write([A, B, C]);
    await heard.until("c", () => heard.all.size === 3);
    expect([...heard.bad]).toEqual([]);
  });

  test("with keys that nobody knows says so", async () => {
    write([{ ...A, adress: "192.0.2.9" }], { ...NETWORK, Netwerk: 1 });
    const { heard } = listen("a");
    await heard.until("a", () => heard.all.size === 1);
    expect(warnings).toEqual([
      `${file}: network: Netwerk: no such key, the nearest is Network; it is left out`,
      `${file}: hosts: a: adress: no such key, the nearest is address; it is left out`,
    ]);
  });

  test("that changes tells what has changed and nothing else", async () => {
    write([A, B, C]);
    const { heard } = listen("a");
    await heard.until("all", () => heard.all.size === 3);
    write([A, { ...B, address: "192.0.2.22" }]);
    await heard.until("c gone", () => heard.all.size === 2);
    expect(heard.order).toEqual(["network", "leases", "changed", "gone"]);
  });

  test("may be that of a ConfigMap, which is swapped by a link", async () => {
    const swap = (version: string, hosts: readonly object[]) => {
      mkdirSync(join(directory, `..${version}`));
      writeFileSync(join(directory, `..${version}`, "overlay.yaml"), JSON.stringify({ network: NETWORK, hosts }));
      symlinkSync(`..${version}`, join(directory, "..data_tmp"));
      renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
    };
    swap("1", [A]);
    symlinkSync("..data/overlay.yaml", file);
    const { heard } = listen("a");
    await heard.until("a", () => heard.all.size === 1);
    swap("2", [A, B]);
    await heard.until("b", () => heard.all.size === 2, 2000);
  });

  test("may be in a directory that is not there yet: it is looked for from time to time", async () => {
    file = join(directory, "later", "overlay.yaml");
    const rescans: (() => void)[] = [];
    const clock: Clock = {
      ...systemClock,
      after(ms, run) {
        if (ms < 1000) return systemClock.after(ms, run);
        rescans.push(run);
        return () => {};
      },
    };
    const heard = new Recorder();
    open("a", clock).start(heard);
    await heard.until("no connection", () => heard.connections.length > 0);
    expect(heard.connections).toEqual([`down: ${file} is not there`]);
    mkdirSync(join(directory, "later"));
    write([A]);
    rescans.shift()?.();
    await heard.until("a", () => heard.all.size === 1);
    expect(heard.connections.at(-1)).toBe("up");
    write([A, B]);
    await heard.until("b, by the watch", () => heard.all.size === 2);
  });
});

describe("a claim", () => {
  async function answerTo(claim: Claim, hosts: readonly object[], network: object = NETWORK, nodeName = "a") {
    write(hosts, network);
    const { source, heard } = listen(nodeName);
    source.claim(claim);
    await heard.until("an answer", () => heard.answer !== undefined);
    return heard.answer;
  }

  test("of a host that the file has under another name is known by its address", async () => {
    const answer = await answerTo(claimOf(A), [{ ...A, name: "first" }, B], NETWORK, "a.example.com");
    expect(answer).toMatchObject({ kind: "held", lease: { key: "first", host: "first" } });
  });

  test("is held with the MAC that the others are told", async () => {
    const { mac: _, ...unnamed } = A;
    const answer = await answerTo(claimOf(A), [unnamed, B]);
    const other = listen("b").heard;
    await other.until("all", () => other.all.size === 2);
    expect(answer).toEqual({ kind: "held", lease: other.all.get("a") });
    expect(other.all.get("a")?.parts[4]?.mac).not.toBe(A.mac);
  });

  test.each<readonly [string, Claim, readonly object[], string]>([
    [
      "of a host that it does not have",
      claimOf(C),
      [A, B],
      "has no host c and none with the address 192.0.2.3: add it there, or give the name that it has there with --node-name",
    ],
    [
      "of a host with another address than it says",
      claimOf({ ...C, address: "192.0.2.33" }),
      [C],
      "gives host c the address 192.0.2.3, and this host uses 192.0.2.33: correct the file, or choose the interface or address that it means",
    ],
    [
      "of a host whose subnet is outside of the network",
      claimOf(C),
      [{ ...C, subnet: "10.9.0.0/24" }],
      "gives this host 10.9.0.0/24, which is not in the network 10.244.0.0/16",
    ],
    [
      "of a host whose subnet has no room",
      claimOf(C),
      [{ ...C, subnet: "10.244.3.0/31" }],
      "gives this host 10.244.3.0/31: wanted is /30 at most",
    ],
    [
      "of a host that is malformed",
      claimOf(C),
      [{ ...C, subnet: "?" }],
      ": host c: its subnet is ?, wanted is one such as 10.244.1.0/24",
    ],
    [
      "row 18: of a host whose address another one has too",
      claimOf(C),
      [C, { ...B, address: C.address }],
      "gives host b the address 192.0.2.3 of this host, too: correct one of them",
    ],
  ])("%s is refused, with the way out", async (_, claim, hosts, reason) => {
    const answer = await answerTo(claim, hosts, NETWORK, "c");
    expect(answer).toEqual({ kind: "refused", reason: expect.stringContaining(reason) });
    expect(answer).toEqual({ kind: "refused", reason: expect.stringContaining(file) });
  });

  test("of two families is refused where the file gives but one", async () => {
    const network = { ...NETWORK, IPv6Network: "fd00:244::/48", EnableIPv6: true };
    const parts = { ...claimOf(A).parts, 6: { address: parseAddress("fd50::1"), mac: A.mac } };
    expect(await answerTo(claimOf(A, { parts }), [A], network)).toEqual({
      kind: "refused",
      reason: `${file} gives this host no IPv6 subnet of the network fd00:244::/48`,
    });
  });

  test("of containers is never answered with another subnet, also where nobody has theirs", async () => {
    const claim = claimOf(A, { pinned: true });
    expect(await answerTo(claim, [{ ...A, subnet: "10.244.9.0/24" }, B])).toEqual({
      kind: "taken",
      subnets: { 4: parseCidr(A.subnet) },
      holder: `nobody (${file} gives this host 10.244.9.0/24 now)`,
    });
  });

  test("without containers takes the subnet that the file has now", async () => {
    const answer = await answerTo(claimOf(A), [{ ...A, subnet: "10.244.9.0/24" }]);
    expect(answer).toMatchObject({ kind: "held", lease: { parts: { 4: { subnet: parseCidr("10.244.9.0/24") } } } });
  });

  test("is answered again each time that it is made, and when the file changes", async () => {
    write([A]);
    const { source, heard } = listen("a");
    source.claim(claimOf(A));
    await heard.answered("held");
    source.claim(claimOf({ ...A, address: "192.0.2.11" }));
    await heard.answered("refused");
    write([{ ...A, address: "192.0.2.11" }]);
    await heard.answered("held", 2);
    expect(heard.answers.map(({ kind }) => kind)).toEqual(["held", "refused", "held"]);
  });
});
