/**
 * Tells the API server of the services that the packet cases of test/e2e/proxy bring, change and remove, and waits until
 * the proxy has brought them.
 *
 * @module
 */
import type { Teller } from "../e2e/proxy/cases.ts";
import { objectsOf, type Svc } from "../e2e/proxy/manifests.ts";
import type { World } from "../e2e/proxy/world.ts";
import type { Manifest } from "./api.ts";
import type { Cluster } from "./cluster.ts";
import type { Daemon } from "./daemon.ts";
import type { Marker } from "./marker.ts";

export interface Told {
  readonly cluster: Cluster;
  readonly marker: Marker;
  readonly world: World;
  readonly proxy: Daemon;
}

/** Writes as an operator does who wants no gap: what is new before what refers to it, what is old after. */
export function teller({ cluster: { api }, marker, world, proxy }: Told): Teller {
  const there = new Map<string, Svc>();

  const put = async (svc: Svc) => {
    if (there.has(svc.name) && addressesOf(there.get(svc.name)) !== addressesOf(svc)) await take(svc.name);
    const before = there.get(svc.name);
    const [service, ...slices] = manifestsOf(svc);
    if (service === undefined) return;
    there.set(svc.name, svc);
    if (before === undefined) {
      await Promise.all([api.createWithStatus(service), ...slices.map((slice) => api.create(slice))]).catch(
        async (error: unknown) => {
          await take(svc.name);
          throw error;
        },
      );
      return;
    }
    const [, ...old] = manifestsOf(before);
    const wider = slices.map((slice, index) => withPortsOf(slice, old[index]));
    await Promise.all(wider.map((slice) => api.replace(slice)));
    // Services and slices come by watches of their own, either first.
    const renamed = wider.some((slice, index) => portsOf(slice).length > portsOf(slices[index]).length);
    if (renamed) await settled();
    await api.replace(service);
    await api.replace(service, "status");
    if (!renamed) return;
    await settled();
    await Promise.all(slices.map((slice) => api.replace(slice)));
  };
  const take = async (name: string) => {
    const svc = there.get(name);
    there.delete(name);
    if (svc !== undefined) await Promise.all(manifestsOf(svc).map((object) => api.delete(object)));
  };
  const settled = () => marker.passed([world], [proxy]);

  return {
    async bring(services) {
      const names = new Set(services.map(({ name }) => name));
      // One after the other: an address is free again when its service is gone.
      await Promise.all([...there.keys()].filter((name) => !names.has(name)).map(take));
      await Promise.all(services.map(put));
      await settled();
    },
    async change(...services) {
      await Promise.all(services.map(put));
      await settled();
    },
    async remove(...names) {
      await Promise.all(names.map(take));
      await settled();
    },
  };
}

/** The objects of a service, with what the API server asks for beside what a proxy reads. */
export function manifestsOf(svc: Svc): readonly Manifest[] {
  return objectsOf(svc).map((object) => {
    const manifest = asManifest(object);
    if (!isService(manifest)) return manifest;
    // It would give a node port to every port of a load balancer, and one for health checks that another may want.
    const balancer = manifest.spec.type === "LoadBalancer";
    const allocate = balancer && svc.ports?.some(({ nodePort }) => nodePort !== undefined) === true;
    const more = balancer ? { allocateLoadBalancerNodePorts: allocate } : {};
    const health = balancer && svc.external === "Local" ? { healthCheckNodePort: 32_000 + svc.n } : {};
    const { clusterIPs } = manifest.spec;
    const dual = Array.isArray(clusterIPs) && clusterIPs.length > 1;
    const ipFamilyPolicy = dual ? "RequireDualStack" : "SingleStack";
    return { ...manifest, spec: { ...manifest.spec, ipFamilyPolicy, ...more, ...health } };
  });
}

/** A cluster IP cannot be changed: a service that is to have others is a new one. */
function addressesOf(svc: Svc | undefined): string {
  const [service] = svc === undefined ? [] : manifestsOf(svc);
  return service !== undefined && isService(service) ? JSON.stringify(service.spec.clusterIPs) : "";
}

interface ServiceManifest extends Manifest {
  readonly spec: Readonly<Record<string, unknown>>;
}

function isService(manifest: Manifest): manifest is ServiceManifest {
  return manifest.kind === "Service";
}

function asManifest(object: object): Manifest {
  if ("apiVersion" in object && "kind" in object && "metadata" in object) return JSON.parse(JSON.stringify(object));
  throw new Error(`no manifest: ${JSON.stringify(object)}`);
}

/** The slice with the ports too, by name, that it is about to lose: a renamed port is served all the while. */
function withPortsOf(slice: Manifest, before: Manifest | undefined): Manifest {
  const [ports, old] = [portsOf(slice), portsOf(before)];
  const names = new Set(ports.map(nameOf));
  return { ...slice, ports: [...ports, ...old.filter((port) => !names.has(nameOf(port)))] };
}

function portsOf(slice: Manifest | undefined): readonly unknown[] {
  return Array.isArray(slice?.ports) ? slice.ports : [];
}

function nameOf(port: unknown): unknown {
  return typeof port === "object" && port !== null && "name" in port ? port.name : "";
}
