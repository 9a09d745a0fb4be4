/**
 * The protocol's errors, plugin by plugin, beside the reference plugins' on the same input: where those say one of the
 * specification's codes, ours is the same; where they say 999 ("untyped"), ours fails as well, and says more.
 */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pluginNames } from "../../plugins/names.ts";
import { Host, PLUGINS } from "./host.ts";
import { reference, WITH_REFERENCE } from "./peers.ts";

const directory = reference?.directory ?? "";
const both = pluginNames.filter((name) => existsSync(`${directory}/${name}`));

let host: Host;
beforeAll(async () => {
  host = await Host.create();
});
afterAll(() => host.destroy());

interface Case {
  readonly what: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly conf?: object;
  /** In place of `conf`. */
  readonly stdin?: string;
}

interface Answer {
  readonly ok: boolean;
  readonly code: number | undefined;
  readonly msg: string;
}

const CONF = { cniVersion: "1.0.0", name: "net1" };
// No case gets so far that it would change anything: there is no such namespace.
const ENV = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/gone",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/nowhere",
};
const SPECIFIED = 100;

const CASES: readonly Case[] = [
  { what: "a verb that there is not", env: { ...ENV, CNI_COMMAND: "FROB" } },
  ...["ADD", "DEL", "CHECK"].map((verb) => ({ what: `${verb} with nothing else set`, env: { CNI_COMMAND: verb } })),
  ...["GC", "STATUS"].map((verb) => ({
    what: `${verb} with nothing else set`,
    env: { CNI_COMMAND: verb },
    conf: { ...CONF, cniVersion: "1.1.0" },
  })),
  ...["a/b", "-a", "a b", "ä", "../x"].map((id) => ({ what: `container ${id}`, env: { ...ENV, CNI_CONTAINERID: id } })),
  ...["sixteen-bytes-xx", ".", "..", "a/b", "a:b", "a b"].map((ifname) => ({
    what: `interface ${ifname}`,
    env: { ...ENV, CNI_IFNAME: ifname },
  })),
  ...["", "{", "[]", "5", '"x"'].map((stdin) => ({ what: `standard input ${stdin}`, stdin })),
  { what: "no name", conf: { cniVersion: "1.0.0" } },
  ...["a/b", "../x", "-a", ""].map((name) => ({ what: `name ${name}`, conf: { ...CONF, name } })),
  { what: "a name of the wrong type", conf: { ...CONF, name: 5 } },
  { what: "a version that there is not", conf: { ...CONF, cniVersion: "9.9.9" } },
  { what: "a version of the wrong type", conf: { ...CONF, cniVersion: 1 } },
  { what: "CHECK below 0.4.0", env: { ...ENV, CNI_COMMAND: "CHECK" }, conf: { ...CONF, cniVersion: "0.3.1" } },
  ...["GC", "STATUS"].map((verb) => ({ what: `${verb} below 1.1.0`, env: { ...ENV, CNI_COMMAND: verb } })),
  { what: "a result of another family before it", conf: { ...CONF, prevResult: { cniVersion: "0.2.0", ip4: {} } } },
  { what: "a result before it that is none", conf: { ...CONF, prevResult: "x" } },
  { what: "nothing of its own", conf: CONF },
  { what: "dns that is no object", conf: { ...CONF, dns: [] } },
];

describe.skipIf(reference === undefined).each(both.length === 0 ? ["each plugin"] : both)(
  `%s beside ${WITH_REFERENCE}`,
  (plugin) => {
    const ask = async (
      path: string,
      { env = ENV, conf = CONF, stdin = JSON.stringify(conf) }: Case,
    ): Promise<Answer> => {
      const { exitCode, stdout } = await host.run([`${path}/${plugin}`], { env, stdin });
      const error = exitCode === 0 || stdout === "" ? {} : (JSON.parse(stdout) as Partial<Answer>);
      return { ok: exitCode === 0, code: error.code, msg: error.msg ?? "" };
    };

    test.each(CASES)("$what", async (one) => {
      const [ours, reference] = await Promise.all([ask(PLUGINS, one), ask(directory, one)]);
      expect(ours.ok, `${ours.msg}, and the reference: ${reference.msg}`).toBe(reference.ok);
      if (reference.code !== undefined && reference.code < SPECIFIED)
        expect(ours).toMatchObject({ code: reference.code });
      if (!ours.ok) expect(ours.msg).not.toBe("");
    });

    test("DEL without a result, a namespace, or arguments that can be read, leaves nothing to do", async () => {
      const env = { ...ENV, CNI_COMMAND: "DEL", CNI_ARGS: "none", CNI_PATH: PLUGINS };
      const answer = await ask(PLUGINS, { what: "", env, conf: { ...CONF, ipam: { type: "host-local" } } });
      expect(answer).toEqual({ ok: true, code: undefined, msg: "" });
    });

    test("input that is huge, or nested deep, is refused with a code", async () => {
      const deep = `{"cniVersion":"1.0.0","name":"net1","x":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
      for (const stdin of [deep, `{"cniVersion":"1.0.0","name":"${"n".repeat(8 << 20)}/"}`]) {
        const answer = await ask(PLUGINS, { what: "", stdin });
        expect(answer.ok).toBe(false);
        expect([6, 7]).toContain(answer.code);
        expect(answer.msg.length).toBeLessThan(1000);
      }
    });
  },
);
