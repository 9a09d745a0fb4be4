import fc from "fast-check";
import { expect, test } from "vitest";
import { conflistName, conflistText } from "../../cli/conflist.ts";
import { parseCidr } from "../../lib/net/cidr.ts";
import { parseNetworkList } from "../../lib/runtime/list.ts";

const text = (subnet: string) => conflistText({ bridge: "tsnet0", subnet: parseCidr(subnet) });

test("containers row 30: the list that we write says 1.0.0, and 1.1.0 to those who read cniVersions", () => {
  const list = JSON.parse(text("10.87.0.0/16"));
  expect(list).toMatchObject({ cniVersion: "1.0.0", cniVersions: ["1.0.0", "1.1.0"] });
  expect(parseNetworkList(text("10.87.0.0/16")).cniVersion).toBe("1.1.0");
});

test.each([
  [[], "99-tsnet.conflist"],
  [["10-calico.conflist", "87-podman-bridge.conflist", "README"], "99-tsnet.conflist"],
  [["zz.conf"], "zz.tsnet.conflist"],
  [["99-tsnet.conflist"], "99-tsnet.tsnet.conflist"],
  [["calico-kubeconfig", "zz"], "99-tsnet.conflist"],
])("containers row 30: beside %j it is called %s", (present, name) => {
  expect(conflistName(present)).toBe(name);
});

test("containers row 30: its name sorts after every list that is there, whatever that is called", () => {
  const character = fc.constantFrom(..."09azAZ-._~ é");
  const name = fc.tuple(fc.string({ unit: character }), fc.constantFrom(".conf", ".conflist", ".json", ".txt"));
  fc.assert(
    fc.property(fc.array(name.map((parts) => parts.join(""))), (present) => {
      const ours = Buffer.from(conflistName(present));
      for (const other of present.filter((each) => !each.endsWith(".txt"))) {
        expect(Buffer.compare(ours, Buffer.from(other))).toBe(1);
      }
    }),
  );
});

test("routes of the list are of the subnet's family", () => {
  expect(text("10.87.0.0/16")).toContain('"0.0.0.0/0"');
  expect(text("fd00:87::/64")).toContain('"::/0"');
});
