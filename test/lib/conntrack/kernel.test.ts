import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Flow, type RealConntrackOptions, realConntrack } from "../../../lib/conntrack/conntrack.ts";
import { formatAddress } from "../../../lib/net/address.ts";
import { openNetns } from "../../../lib/sys/netns.ts";
import { Host } from "../../e2e/host.ts";
import { conntrackCases } from "./cases.ts";

const open = async (options: (host: Host) => RealConntrackOptions) => {
  const host = await Host.create();
  return {
    conntrack: realConntrack(options(host)),
    track: async (flows: readonly Flow[]) => {
      await host.ok(["conntrack", "-F"]);
      for (const flow of flows) await host.ok(["conntrack", "-I", "--timeout", "600", ...insertion(flow)]);
    },
    close: () => host.destroy(),
  };
};

conntrackCases("flows in the kernel", () => open((host) => ({ netns: openNetns(`/proc/${host.pid}/ns/net`) })));
conntrackCases("flows in the kernel, by the program alone", () => open((host) => ({ prefix: host.enter([]) })));

test("a flow that ends by itself meanwhile does not save those behind it", async () => {
  // The first time it gives up after one flow, as conntrack does; then it notes that it came to the end.
  const stub = `if rmdir "$0/first"; then
    echo "conntrack v1.4.7 (conntrack-tools): Operation failed: such conntrack doesn't exist" >&2; exit 1
  fi
  mkdir "$0/end"`;
  const folder = await mkdtemp(join(tmpdir(), "conntrack-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, "first"));
  const conntrack = realConntrack({ prefix: ["sh", "-c", stub, folder] });
  await conntrack.deleteFlows({ family: 4, proto: "udp", dport: 53 });
  expect(await readdir(folder)).toEqual(["end"]);
});

test("who may not is told so, with a code", async () => {
  const conntrack = realConntrack({ prefix: ["setpriv", "--reuid", "65534", "--clear-groups"] });
  await expect(conntrack.deleteFlows({ family: 4, proto: "udp", dport: 53 })).rejects.toMatchObject({
    code: "permission",
  });
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
