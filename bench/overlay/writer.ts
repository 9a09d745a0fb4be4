/**
 * A client of a world's etcd in this very process, so that a write begins when it is asked for, and not when a program
 * has been started for it.
 *
 * @module
 */
import { EtcdClient } from "../../lib/etcd/client.ts";
import type { Etcd } from "../../test/overlay/source/etcd.ts";

export interface Writer extends Disposable {
  put(key: string, text: string): Promise<void>;
}

export async function openWriter(etcd: Etcd): Promise<Writer> {
  const { endpoints, ...access } = await etcd.settings();
  const client = new EtcdClient({ ...access, endpoint: endpoints[0] ?? "" });
  const lease = (await client.grant(3600)).id;
  return {
    async put(key, text) {
      await client.commit([], [{ kind: "put", key, text, lease }]);
    },
    [Symbol.dispose]: () => client.close(),
  };
}
