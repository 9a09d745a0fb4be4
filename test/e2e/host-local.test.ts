/**
 * host-local as a program, in a directory of its own: it touches nothing else, so it needs no host of its own.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { referencePrograms } from "../cluster/build.ts";
import { PLUGINS } from "./host.ts";

let dataDir = "";
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "tsnet-host-local-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const OURS = `${PLUGINS}/host-local`;
const NETWORK = "front";

interface Call {
  readonly id?: string;
  readonly subnet?: string;
  readonly conf?: object;
  readonly ipam?: object;
  readonly env?: Readonly<Record<string, string>>;
  /** What runs: ours, unless another plugin or a tracer in front of it is given. */
  readonly argv?: readonly string[];
}

/** Starts a call; the process, and its answer. */
function start(verb: string, { id = "c1", subnet = "10.1.0.0/24", conf, ipam, env, argv = [OURS] }: Call = {}) {
  const input = { cniVersion: "1.1.0", name: NETWORK, ipam: { type: "host-local", subnet, dataDir, ...ipam }, ...conf };
  const child = Bun.spawn([...argv], {
    stdio: [Buffer.from(JSON.stringify(input)), "pipe", "pipe"],
    env: {
      PATH: process.env.PATH ?? "",
      CNI_COMMAND: verb,
      CNI_CONTAINERID: id,
      CNI_NETNS: "/nowhere",
      CNI_IFNAME: "eth0",
      CNI_PATH: PLUGINS,
      ...env,
    },
  });
  const answer = async () => {
    const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { exitCode: await child.exited, stdout, stderr, killed: child.signalCode !== null };
  };
  return { child, answer: answer() };
}

async function cni(verb: string, call: Call = {}) {
  const { exitCode, stdout, stderr } = await start(verb, call).answer;
  const json: unknown = stdout === "" ? undefined : JSON.parse(stdout);
  return { exitCode, stderr, json };
}

const ok = async (verb: string, call: Call = {}) => {
  const { exitCode, json, stderr } = await cni(verb, call);
  expect(exitCode, `${verb}: ${JSON.stringify(json)} ${stderr}`).toBe(0);
  return json;
};

const files = () => readdirSync(join(dataDir, NETWORK)).sort();
const addresses = () => files().filter((name) => name.startsWith("10."));
const holder = (name: string) => readFileSync(join(dataDir, NETWORK, name), "utf8").split("\r\n")[0] ?? "";
const addressIn = (json: unknown) => /"address":"([0-9.]+)\//.exec(JSON.stringify(json))?.[1] ?? "none";
const put = (name: string, text: string) => {
  mkdirSync(join(dataDir, NETWORK), { recursive: true });
  writeFileSync(join(dataDir, NETWORK, name), text);
};

/** Runs `work` over all items, `width` at a time. */
async function inParallel<T>(width: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

const many = (count: number) => Array.from({ length: count }, (_, i) => `c${i}`);
const keeping = (ids: readonly string[]) => ({
  "cni.dev/valid-attachments": ids.map((containerID) => ({ containerID, ifname: "eth0" })),
});

describe("host-local", () => {
  it("gives an address, answers for it, and takes it back", async () => {
    expect(await ok("ADD")).toEqual({ cniVersion: "1.1.0", ips: [{ address: "10.1.0.2/24", gateway: "10.1.0.1" }] });
    expect(await ok("ADD", { id: "c2", conf: { cniVersion: "0.2.0" } })).toEqual({
      cniVersion: "0.2.0",
      ip4: { ip: "10.1.0.3/24", gateway: "10.1.0.1" },
      dns: {},
    });
    expect(files()).toEqual(["10.1.0.2", "10.1.0.3", "last_reserved_ip.0", "lock"]);
    expect(readFileSync(join(dataDir, NETWORK, "10.1.0.2"), "utf8")).toBe("c1\r\neth0");
    const prevResult = { cniVersion: "1.1.0", ips: [{ address: "10.1.0.2/24" }] };
    expect(await ok("CHECK", { conf: { prevResult } })).toBeUndefined();
    for (const _ of [1, 2]) expect(await ok("DEL")).toBeUndefined();
    expect(addresses()).toEqual(["10.1.0.3"]);
    expect(await cni("CHECK", { conf: { prevResult } })).toMatchObject({
      exitCode: 1,
      json: { msg: "host-local: Failed to find address added by container c1" },
    });
  });

  it("cni row 1, containers row 31: collects by GC what no valid attachment has", async () => {
    for (const id of many(4)) await ok("ADD", { id });
    await ok("GC");
    expect(addresses()).toHaveLength(4);
    await ok("GC", { conf: keeping(["c1", "c3"]) });
    expect(addresses().map(holder)).toEqual(["c1", "c3"]);
    await ok("GC", { conf: keeping([]) });
    expect(files()).toEqual(["last_reserved_ip.0", "lock"]);
  });

  it("cni row 2: gives an address that a crash left empty, and counts one that a hand wrote as taken", async () => {
    put("10.1.0.2", "");
    put("10.1.0.3", "the printer's");
    const given = await Promise.all(["c1", "c2"].map(async (id) => addressIn(await ok("ADD", { id }))));
    expect(given.sort()).toEqual(["10.1.0.2", "10.1.0.4"]);
  });

  it("cni row 3: says by STATUS that the pool is used up, and by ADD who has it", async () => {
    const subnet = "10.1.0.0/30";
    await ok("STATUS", { subnet });
    await ok("ADD", { subnet });
    expect(await cni("STATUS", { subnet })).toMatchObject({ exitCode: 1, json: { code: 50 } });
    expect(await cni("ADD", { subnet, id: "c2" })).toMatchObject({
      exitCode: 1,
      json: {
        code: 11,
        msg: "failed to allocate for range 0: no IP addresses available in range set: 10.1.0.1-10.1.0.2",
        details: "10.1.0.2 is held by c1 eth0",
      },
    });
  });

  it("containers row 33: takes an address from before the boot over when the range is full, and logs it", async () => {
    put("10.1.0.2", "gone\r\neth0");
    utimesSync(join(dataDir, NETWORK, "10.1.0.2"), 1_000_000_000, 1_000_000_000);
    const { json, stderr } = await cni("ADD", { subnet: "10.1.0.0/30" });
    expect(addressIn(json)).toBe("10.1.0.2");
    expect(stderr).toContain("tsnet: warning: address 10.1.0.2 goes to c1: it was held by gone eth0 before the boot");
    expect(holder("10.1.0.2")).toBe("c1");
  });

  it("gives 16 callers at a time different addresses, and takes them all back", async () => {
    const given: string[] = [];
    await inParallel(16, many(160), async (id) => {
      given.push(addressIn(await ok("ADD", { id })));
    });
    expect(new Set(given).size).toBe(160);
    expect([...given].sort()).toEqual(addresses());
    await inParallel(16, many(160), async (id) => {
      await ok("DEL", { id });
    });
    expect(files()).toEqual(["last_reserved_ip.0", "lock"]);
  });

  it("has a reservation on disk before it gives it its name", async () => {
    const trace = join(dataDir, "trace");
    await ok("ADD", { argv: ["strace", "-f", "-qq", "-e", "trace=fsync,link,linkat", "-o", trace, OURS] });
    const calls = readFileSync(trace, "utf8").match(/\b(fsync|link(?=\(|at\())/g);
    expect(calls).toEqual(["fsync", "link"]);
  });
});

describe("host-local killed by kill -9", () => {
  // More than it makes of one call: a bound on the loop, not an expectation.
  const MOST_CALLS = 300;

  const killedAt = async (call: string, nth: number) => {
    const inject = `inject=${call}:signal=SIGKILL:when=${nth}`;
    const argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", inject, OURS];
    return (await start("ADD", { argv }).answer).exitCode !== 0;
  };

  it.each(["openat", "write", "fsync", "link", "unlink", "utimensat", "flock", "mkdir"])(
    "at any %s of ADD is made good by DEL alone, and by GC alone, and the next ADD works",
    async (call) => {
      let nth = 1;
      for (; nth < MOST_CALLS; nth++) {
        for (const repair of ["DEL", "GC"]) {
          rmSync(join(dataDir, NETWORK), { recursive: true, force: true });
          const killed = await killedAt(call, nth);
          await ok(repair, { conf: keeping([]) });
          const left = readdirSync(dataDir).length === 0 ? [] : files();
          expect(left.filter((name) => name !== "lock" && name !== "last_reserved_ip.0")).toEqual([]);
          await ok("ADD");
          expect(addresses().map(holder)).toEqual(["c1"]);
          if (!killed) return;
        }
      }
      throw new Error(`ADD makes more than ${MOST_CALLS} ${call}`);
    },
    300_000,
  );

  it("at any moment, among others, gives no address twice and loses none", async () => {
    const subnet = "10.1.0.0/26";
    const living = new Map<string, string>();
    await inParallel(16, many(160), async (id) => {
      const { child, answer } = start("ADD", { id, subnet });
      const fuse = setTimeout(() => child.kill("SIGKILL"), Math.random() * 120);
      const { exitCode, stdout } = await answer;
      clearTimeout(fuse);
      if (exitCode === 0) living.set(id, addressIn(JSON.parse(stdout)));
      // Some are taken back, so that the pool does not just run full.
      if (living.size > 40) {
        const [oldest] = living.keys();
        if (oldest !== undefined && oldest !== id) {
          living.delete(oldest);
          await ok("DEL", { id: oldest, subnet });
        }
      }
    });
    expect(new Set(living.values()).size).toBe(living.size);
    for (const [id, address] of living) expect(holder(address)).toBe(id);
    await ok("GC", { subnet, conf: keeping([...living.keys()]) });
    expect(addresses()).toEqual([...living.values()].sort());
    expect(files().filter((name) => name.startsWith("."))).toEqual([]);
    // A /26 has 61 addresses beside the gateway: all that are left can still be had.
    const rest = 61 - living.size;
    for (let i = 0; i < rest; i++) await ok("ADD", { id: `rest${i}`, subnet });
    expect(addresses()).toHaveLength(61);
    expect((await cni("ADD", { id: "one-more", subnet })).exitCode).toBe(1);
  });
});

describe("host-local beside the reference's", () => {
  const reference = async () => [`${(await referencePrograms()).directory}/host-local`];
  // The reference answers up to 1.1.0, Debian's package, where it stands in, up to 1.0.0.
  const conf = { cniVersion: "1.0.0" };

  it("takes over from it under running containers, and the reverse", async () => {
    const theirs = await reference();
    await ok("ADD", { id: "theirs", argv: theirs, conf });
    await ok("ADD", { id: "ours", conf });
    expect(addresses().map(holder)).toEqual(["theirs", "ours"]);
    const prevResult = { cniVersion: "1.0.0", ips: [{ address: "10.1.0.2/24" }] };
    await ok("CHECK", { id: "theirs", conf: { ...conf, prevResult } });
    await ok("CHECK", { id: "ours", argv: theirs, conf: { ...conf, prevResult } });
    await ok("DEL", { id: "theirs", conf });
    await ok("DEL", { id: "ours", argv: theirs, conf });
    expect(addresses()).toEqual([]);
    expect(addressIn(await ok("ADD", { id: "next", conf }))).toBe("10.1.0.4");
  });

  it("shares its lock: at the same time they give different addresses", async () => {
    const theirs = await reference();
    const given: string[] = [];
    await inParallel(16, many(120), async (id) => {
      const argv = Number(id.slice(1)) % 2 === 0 ? theirs : [OURS];
      given.push(addressIn(await ok("ADD", { id, argv, conf })));
    });
    expect(new Set(given).size).toBe(120);
    expect([...given].sort()).toEqual(addresses());
  });

  it("answers as it does, error texts included", async () => {
    const theirs = await reference();
    const cases: readonly Call[] = [
      {},
      { ipam: { routes: [{ dst: "0.0.0.0/0" }, { dst: "fd00::/8", gw: "FD00::1" }] } },
      { ipam: { ranges: [[{ subnet: "fd00:0:0:1::/64" }]] } },
      { ipam: { rangeStart: "10.1.0.77" } },
      { ipam: { ranges: [[{ subnet: "10.2.0.0/24", gateway: "10.2.0.2", rangeStart: "10.2.0.2" }]] } },
      { env: { CNI_ARGS: "IgnoreUnknown=1;A=b;IP=10.1.0.99" } },
      { env: { CNI_ARGS: "IP=10.1.0.1" } },
      { env: { CNI_ARGS: "IP=10.9.0.1" } },
      { env: { CNI_ARGS: "A=b" } },
      { subnet: "10.1.0.0/31" },
      { subnet: "10.1.0.5/24" },
      { ipam: { rangeStart: "10.2.0.1" } },
      { ipam: { rangeEnd: "10.2.0.1" } },
      { ipam: { ranges: [[{ subnet: "10.1.0.0/16" }]] } },
      { ipam: { ranges: [[]] } },
      { ipam: { ranges: [[{ subnet: "10.2.0.0/24" }, { subnet: "fd00::/64" }]] } },
      { ipam: { subnet: undefined } },
      { conf: { ipam: undefined } },
      { conf: { cniVersion: "0.2.0" }, ipam: { ranges: [[{ subnet: "10.2.0.0/24" }]] } },
      { env: { CNI_CONTAINERID: "a/b" } },
      { env: { CNI_IFNAME: "a/b" } },
      { env: { CNI_IFNAME: "", CNI_PATH: "" } },
      { conf: { name: "a/b" } },
      { conf: { cniVersion: "9.9.9" } },
    ];
    for (const call of cases) {
      const [ours, its] = [await answerOf(call), await answerOf({ ...call, argv: theirs })];
      expect(ours, JSON.stringify(call)).toEqual(its);
    }
  });

  /** The result, or the message of the error: codes are ours to do better. */
  async function answerOf(call: Call): Promise<unknown> {
    rmSync(join(dataDir, NETWORK), { recursive: true, force: true });
    const { exitCode, json } = await cni("ADD", { ...call, conf: { ...conf, ...call.conf } });
    return { exitCode, answer: exitCode === 0 ? withoutEmptyDns(json) : messageIn(json) };
  }

  /** Up to 1.1.1, which Debian has, the reference prints an empty one in the newer versions, too. */
  function withoutEmptyDns(json: unknown): unknown {
    if (typeof json !== "object" || json === null || !("dns" in json)) return json;
    const { dns, ...rest } = json;
    return Object.keys(Object(dns)).length === 0 ? rest : json;
  }

  function messageIn(json: unknown): unknown {
    return typeof json === "object" && json !== null && "msg" in json ? json.msg : json;
  }
});
