/**
 * The world of the shared cases in a real etcd, of which every test has it emptied.
 *
 * @module
 */
import { systemClock } from "../../../lib/daemon/clock.ts";
import type { Log } from "../../../lib/daemon/log.ts";
import { parseCidr } from "../../../lib/net/cidr.ts";
import { subnetKey } from "../../../overlay/lease/key.ts";
import { leaseText } from "../../../overlay/lease/lease.ts";
import type { EtcdSettings } from "../../../overlay/settings.ts";
import { etcdSource } from "../../../overlay/source/etcd.ts";
import { claimOf, type SourceWorld, type WrittenHost } from "./cases.ts";
import { type Etcd, PREFIX } from "./etcd.ts";

export const SILENT: Log = { info() {}, warn() {}, error() {}, debug() {} };

export async function openEtcdWorld(etcd: Etcd): Promise<SourceWorld> {
  await etcd.ctl(["del", "--prefix", `${PREFIX}/`]);
  const settings: EtcdSettings = await etcd.settings();
  const keys = new Map<string, string>();
  return {
    hostsWrite: true,
    async setNetwork(config) {
      await etcd.put(`${PREFIX}/config`, typeof config === "string" ? config : JSON.stringify(config));
    },
    async setHost(host) {
      keys.set(host.name, keyOf(host));
      await etcd.put(keyOf(host), leaseText(claimOf(host)));
    },
    async removeHost(name) {
      await etcd.delete(keys.get(name) ?? "");
    },
    async spoilHost(name) {
      await etcd.put(keys.get(name) ?? "", '{"PublicIP": "192.0.2.300", "BackendType": "vxlan"}');
    },
    async assign() {},
    lose: () => etcd.kill(),
    regain: () => etcd.start(),
    open: (_, { replaceLease = false } = {}) =>
      etcdSource({ ...settings, replaceLease }, { log: SILENT, clock: systemClock }),
    close: () => Promise.resolve(),
  };
}

/** Under which a host's lease is kept. */
export function keyOf({ subnet }: WrittenHost): string {
  return `${PREFIX}/subnets/${subnetKey({ 4: parseCidr(subnet) })}`;
}
