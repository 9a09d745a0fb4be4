/**
 * Which VLANs a port is put into for `vlan`, `vlanTrunk` and `preserveDefaultVlan`, as the messages say that go to the
 * kernel: this one may have no VLAN filtering. That they are those of `bridge vlan` is told in
 * test/lib/netlink/messages.test.ts.
 */
import { AttrStream } from "netlink/dist/structs";
import { describe, expect, it } from "vitest";
import { parseNetConf } from "../../../lib/cni/config.ts";
import { parseJsonObject } from "../../../lib/cni/object.ts";
import type { PluginCall } from "../../../lib/cni/types.ts";
import type { Link } from "../../../lib/netlink/link.ts";
import type { Request, RtSocket } from "../../../lib/netlink/socket.ts";
import { parseConfig } from "../../../plugins/bridge/config.ts";
import { setPortVlans } from "../../../plugins/bridge/vlan.ts";
import { attributesOf } from "../../e2e/netlink-trace.ts";

// linux/rtnetlink.h, linux/if_link.h, linux/if_bridge.h
const [RTM_SETLINK, IFINFOMSG, IFLA_AF_SPEC] = [19, 16, 26];
const [VLAN_INFO, PVID, UNTAGGED, RANGE_BEGIN, RANGE_END] = [2, 0x2, 0x4, 0x8, 0x10];

const UNTAGGED_100 = "add 100 pvid untagged";

describe("a port of a bridge", () => {
  it.each<readonly [string, object, readonly string[]]>([
    ["vlan: leaves the default VLAN for its own, untagged", { vlan: 100 }, ["del 1", UNTAGGED_100]],
    ["vlan 0: none", { vlan: 0, vlanTrunk: [{ id: 7 }] }, ["add 7", "add 1 pvid untagged"]],
    [
      "vlanTrunk: is in those VLANs as well, tagged",
      { vlan: 100, vlanTrunk: [{ id: 101 }, { minID: 200, maxID: 299 }] },
      ["del 1", "add 101", "add 200-299", UNTAGGED_100],
    ],
    ["vlanTrunk without vlan: is untagged in VLAN 1", { vlanTrunk: [{ id: 7 }] }, ["add 7", "add 1 pvid untagged"]],
    ["preserveDefaultVlan: stays in it", { vlan: 100, preserveDefaultVlan: true }, [UNTAGGED_100]],
  ])("%s", (_, keys, messages) => {
    expect(vlansOf(keys)).toEqual(messages);
  });

  it.each([
    ["vlan", { vlan: 4095 }, "vlan is 4095, allowed are 0 (none) to 4094"],
    ["id", { vlanTrunk: [{ id: 0 }] }, "vlanTrunk[0].id is 0, allowed are 1 to 4094"],
    ["minID without maxID", { vlanTrunk: [{ minID: 5 }] }, "vlanTrunk[0]: minID and maxID go together"],
    ["minID above maxID", { vlanTrunk: [{ minID: 5, maxID: 4 }] }, "vlanTrunk[0]: minID 5 is above maxID 4"],
  ])("is refused an impossible %s", (_, keys, message) => {
    expect(() => vlansOf(keys)).toThrow(message);
  });
});

/** What is said of VLANs for a port under these keys. */
function vlansOf(keys: object): readonly string[] {
  const stdin = JSON.stringify({ cniVersion: "1.0.0", name: "net1", type: "bridge", ...keys });
  const conf = parseNetConf(parseJsonObject(stdin, "config"));
  const config = parseConfig({ conf, args: "" } as PluginCall);
  const said: string[] = [];
  const socket = { change: (request: Request) => void said.push(textOf(request)) } as unknown as RtSocket;
  setPortVlans(socket, { index: 3, name: "veth0" } as Link, config);
  return said;
}

function textOf({ type, body }: Request): string {
  const stream = new AttrStream();
  stream.emit(body);
  const spec = attributesOf(Buffer.concat(stream.bufs).subarray(IFINFOMSG)).get(IFLA_AF_SPEC) ?? Buffer.alloc(0);
  const vlans: { readonly flags: number; readonly vid: number }[] = [];
  // struct bridge_vlan_info behind each struct nlattr, of 8 bytes together.
  for (let at = 0; at + 8 <= spec.length; at += 8) {
    expect(spec.readUInt16LE(at + 2)).toBe(VLAN_INFO);
    vlans.push({ flags: spec.readUInt16LE(at + 4), vid: spec.readUInt16LE(at + 6) });
  }
  const [first, last] = vlans;
  if (last !== undefined) expect([first?.flags, last.flags]).toEqual([RANGE_BEGIN, RANGE_END]);
  const flags = first?.flags ?? 0;
  const words = [(flags & PVID) === 0 ? "" : " pvid", (flags & UNTAGGED) === 0 ? "" : " untagged"];
  const range = last === undefined ? `${first?.vid}` : `${first?.vid}-${last.vid}`;
  return `${type === RTM_SETLINK ? "add" : "del"} ${range}${words.join("")}`;
}
