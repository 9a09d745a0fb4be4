/**
 * A client of a world's etcd in this very process, so that a write begins when it is asked for, and not when a program
 * has been started for it.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { Etcd3 } from "etcd3";
import type { Etcd } from "../../test/overlay/source/etcd.ts";

export interface Writer extends Disposable {
  put(key: string, value: string): Promise<void>;
}

export async function openWriter(etcd: Etcd): Promise<Writer> {
  const { endpoints, caFile, certFile, keyFile, username, password } = await etcd.settings();
  const [rootCertificate, certChain, privateKey] = await Promise.all([
    readFile(caFile),
    readFile(certFile),
    readFile(keyFile),
  ]);
  const auth = { username, password };
  const client = new Etcd3({ hosts: [...endpoints], auth, credentials: { rootCertificate, certChain, privateKey } });
  return {
    put: async (key, value) => void (await client.put(key).value(value)),
    [Symbol.dispose]: () => client.close(),
  };
}
