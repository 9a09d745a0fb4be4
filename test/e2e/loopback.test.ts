import { afterAll, beforeAll, expect, it } from "vitest";
import { Host } from "./host.ts";

let host: Host;
beforeAll(async () => {
  host = await Host.create();
});
afterAll(() => host.destroy());

const conf = (more: object = {}) => ({ cniVersion: "1.1.0", name: "lo", type: "loopback", ...more });

/** A namespace as `ip netns add` makes it, where lo is down. */
async function namespace(id: string): Promise<{ readonly id: string; readonly netns: string }> {
  await host.ok(["ip", "netns", "add", id]);
  return { id, netns: `/run/netns/${id}` };
}

const isUp = async (id: string) => (await host.inNetns(id, ["ping", "-c1", "-W1", "127.0.0.1"])).exitCode === 0;

it("ADD brings lo up, whatever the interface is called, CHECK looks at it, and DEL brings it down", async () => {
  const a = await namespace("a");
  const { json } = await host.cni("ADD", "loopback", conf(), { ...a, ifname: "eth0" });
  expect(json).toEqual({
    cniVersion: "1.1.0",
    interfaces: [{ name: "lo", mac: "00:00:00:00:00:00", sandbox: a.netns }],
    ips: [
      { interface: 0, address: "127.0.0.1/8" },
      { interface: 0, address: "::1/128" },
    ],
  });
  expect(await isUp("a")).toBe(true);
  const check = () => host.cni("CHECK", "loopback", conf({ prevResult: json }), a);
  expect(await check()).toMatchObject({ exitCode: 0, stdout: "" });
  for (let times = 0; times < 2; times++)
    expect(await host.cni("DEL", "loopback", conf(), a)).toMatchObject({ exitCode: 0, stdout: "" });
  expect(await isUp("a")).toBe(false);
  expect((await check()).json).toMatchObject({ code: 103, msg: "lo in /run/netns/a is down, wanted up" });
  await host.ok(["ip", "netns", "del", "a"]);
  for (const options of [a, { ...a, netns: "" }])
    expect(await host.cni("DEL", "loopback", conf(), options)).toMatchObject({ exitCode: 0, stdout: "" });
});

it("in a chain hands on the result of the plugin before it", async () => {
  const prevResult = { cniVersion: "1.1.0", interfaces: [{ name: "eth0" }], ips: [{ address: "10.1.0.2/24" }] };
  const { json } = await host.cni("ADD", "loopback", conf({ prevResult }), await namespace("b"));
  expect(json).toEqual(prevResult);
  expect(await isUp("b")).toBe(true);
});

it.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
  "answers in version %s",
  async (cniVersion) => {
    const { json } = await host.cni("ADD", "loopback", conf({ cniVersion }), await namespace(`v${cniVersion}`));
    expect(json).toMatchObject(
      cniVersion < "0.3"
        ? { cniVersion, ip4: { ip: "127.0.0.1/8" } }
        : { cniVersion, ips: [{ address: "127.0.0.1/8" }, {}] },
    );
  },
);
