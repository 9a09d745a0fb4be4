/**
 * A client of a world's etcd in this very process, so that a write begins when it is asked for, and not when a program
 * has been started for it.
 *
 * @module
 */
import { resolve } from "node:path";
import { Etcd3 } from "etcd3";
import type { Host } from "../../test/e2e/host.ts";
import { FILES } from "../../test/e2e/overlay/etcd-peers.ts";

export interface Writer extends Disposable {
  put(key: string, value: string): Promise<void>;
}

/** Connects to the etcd on `hub`, by a relay into its namespace. */
export async function openWriter(hub: Host): Promise<Writer> {
  const script = resolve(import.meta.dirname, "../../test/cluster/relay.ts");
  const argv = [process.execPath, script, `/proc/${hub.pid}/root/run/netns/store`, "127.0.0.1", "2379"];
  const relay = Bun.spawn(argv, { stdio: ["pipe", "pipe", "inherit"] });
  const first = await relay.stdout.getReader().read();
  const port = Number(first.done ? "" : new TextDecoder().decode(first.value));
  const pem = async (name: string) => Buffer.from(await hub.ok(["cat", `${FILES}/${name}`]));
  const [rootCertificate, certChain, privateKey] = await Promise.all(["ca.crt", "admin.crt", "admin.key"].map(pem));
  if (rootCertificate === undefined || certChain === undefined || privateKey === undefined)
    throw new Error("no certificates");
  const client = new Etcd3({
    hosts: `https://127.0.0.1:${port}`,
    credentials: { rootCertificate, certChain, privateKey },
  });
  return {
    put: async (key, value) => void (await client.put(key).value(value)),
    [Symbol.dispose]() {
      client.close();
      relay.stdin.end();
    },
  };
}
