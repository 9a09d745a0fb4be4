/**
 * Messages that this machine's kernel may refuse, byte for byte beside those that iproute2 sends for the same
 * command: both are traced with strace, in a host of their own.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Host } from "../../e2e/host.ts";
import { netlinkOf } from "../../e2e/netlink-trace.ts";

let host: Host;

beforeAll(async () => {
  host = await Host.create();
  await host.sh("ip link add br0 type bridge; ip link add p0 master br0 type veth peer name q0");
});
afterAll(() => host.destroy());

/** The messages of these types that a program sends on netlink, without sequence number, port and flags. */
async function sent(types: readonly number[], argv: readonly string[], env = {}): Promise<string[]> {
  const { messages } = await netlinkOf(host, types, argv, { env });
  return messages.map((message) => message.toString("hex"));
}

/** What one of our calls sends, run as a program of its own. */
function ours(types: readonly number[], code: string): Promise<string[]> {
  const prelude = `
    import { RtSocket } from "${import.meta.dirname}/../../../lib/netlink/socket.ts";
    import { linkGet } from "${import.meta.dirname}/../../../lib/netlink/link.ts";
    import * as port from "${import.meta.dirname}/../../../lib/netlink/port.ts";
    const socket = RtSocket.open();
    const index = (name) => linkGet(socket, name).index;
  `;
  return sent(types, [process.execPath, "-e", `${prelude} try { ${code} } catch {}`], { BUN_BE_BUN: "1" });
}

const RTM_SETLINK = 19;
const RTM_DELLINK = 17;

describe("VLANs of a bridge port", () => {
  it.each([
    ["vid 100", "{ first: 100, last: 100 }"],
    ["vid 100 pvid untagged", "{ first: 100, last: 100, pvid: true, untagged: true }"],
    ["vid 200-300", "{ first: 200, last: 300 }"],
  ])("are added and deleted as `bridge vlan add dev p0 %s` does", async (command, range) => {
    const theirs = await sent([RTM_SETLINK], ["bridge", "vlan", "add", "dev", "p0", ...command.split(" ")]);
    expect(theirs.length).toBe(1);
    expect(await ours([RTM_SETLINK], `port.portVlanAdd(socket, index("p0"), ${range})`)).toEqual(theirs);
    const deleted = await sent([RTM_DELLINK], ["bridge", "vlan", "del", "dev", "p0", ...command.split(" ")]);
    expect(await ours([RTM_DELLINK], `port.portVlanDel(socket, index("p0"), ${range})`)).toEqual(deleted);
  });

  it("of the bridge itself are added as `bridge vlan add dev br0 vid 100 self` does", async () => {
    const theirs = await sent([RTM_SETLINK], ["bridge", "vlan", "add", "dev", "br0", "vid", "100", "self"]);
    expect(theirs.length).toBe(1);
    expect(
      await ours([RTM_SETLINK], `port.portVlanAdd(socket, index("br0"), { first: 100, last: 100 }, true)`),
    ).toEqual(theirs);
  });
});
