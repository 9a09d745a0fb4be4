import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Flow, realConntrack } from "../../../lib/conntrack/conntrack.ts";
import { formatAddress } from "../../../lib/net/address.ts";
import { Host } from "../../e2e/host.ts";
import { conntrackCases } from "./cases.ts";

conntrackCases("flows in the kernel", async () => {
  const host = await Host.create();
  return {
    conntrack: realConntrack({ prefix: host.enter([]) }),
    track: async (flows) => {
      await host.ok(["conntrack", "-F"]);
      for (const flow of flows) await host.ok(["conntrack", "-I", "--timeout", "600", ...insertion(flow)]);
    },
    close: () => host.destroy(),
  };
});

test("a flow that ends by itself meanwhile does not save those behind it", async () => {
  const flow = (port: number) => `udp 17 9 src=10.0.0.1 dst=10.0.0.9 sport=${port} dport=53 src=10.0.0.9 dst=10.0.0.1`;
  // The first time it gives up after one flow, as conntrack does; then it finds the other two.
  const stub = `if rmdir "$0"; then
    echo "${flow(1)}"; echo "conntrack v1.4.7 (conntrack-tools): Operation failed: such conntrack doesn't exist" >&2; exit 1
  else
    echo "${flow(2)}"; echo "${flow(3)}"
  fi`;
  const first = await mkdtemp(join(tmpdir(), "conntrack-"));
  const conntrack = realConntrack({ prefix: ["sh", "-c", stub, first] });
  expect(await conntrack.deleteFlows({ family: 4, proto: "udp", dport: 53 })).toBe(3);
});

test("who may not is told so, with a code", async () => {
  const host = await Host.create();
  const nobody = ["setpriv", "--reuid", "65534", "--clear-groups"];
  const conntrack = realConntrack({ prefix: host.enter(nobody) });
  await expect(conntrack.deleteFlows({ family: 4, proto: "udp", dport: 53 })).rejects.toMatchObject({
    code: "permission",
  });
  await host.destroy();
});

function insertion({ proto, orig, reply }: Flow): string[] {
  const addresses = [
    ["--orig-src", orig.src],
    ["--orig-dst", orig.dst],
    ["--reply-src", reply.src],
    ["--reply-dst", reply.dst],
  ] as const;
  const args = ["-p", proto, ...addresses.flatMap(([option, address]) => [option, formatAddress(address)])];
  if (proto === "icmp") return [...args, "--icmp-type", "8", "--icmp-code", "0", "--icmp-id", "7"];
  if (proto === "tcp") args.push("--state", "ESTABLISHED");
  const ports = [
    ["--orig-port-src", orig.sport],
    ["--orig-port-dst", orig.dport],
    ["--reply-port-src", reply.sport],
    ["--reply-port-dst", reply.dport],
  ] as const;
  return [...args, ...ports.flatMap(([option, port]) => [option, String(port)])];
}
