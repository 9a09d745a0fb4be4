/**
 * The Services of a bench: so many, with four endpoints each, at addresses that the API server draws at random.
 * The objects are the same for both sides.
 *
 * @module
 */
import type { Api, Manifest } from "../../test/cluster/api.ts";

export interface Service {
  readonly name: string;
  readonly address: string;
  /** Of its one EndpointSlice. */
  endpoints: readonly string[];
}

export const SERVICE_PORT = 80;
/** Where every endpoint listens. */
export const ENDPOINT_PORT = 8080;
/** All endpoints are in here; new ones in the upper part: watcher.ts. */
export const ENDPOINTS = "10.128.0.0/9";

const PER_SERVICE = 4;
const NAMESPACE = "bench";
// Creating is bound by the API server; more at once make it no faster.
const AT_ONCE = 32;

/** Brings the number of services up to `count`; those that are there stay. */
export async function growTo(api: Api, services: Service[], count: number): Promise<void> {
  if (services.length === 0) {
    await api.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } });
  }
  let next = services.length;
  services.length = Math.max(count, next);
  const worker = async () => {
    for (let number = next++; number < count; number = next++) services[number] = await create(api, number);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Gives the service's first endpoint another address: what happens when a pod is replaced. */
export async function replaceFirst(api: Api, service: Service, address: string): Promise<void> {
  await api.edit(sliceOf(service.name), [{ op: "replace", path: "/endpoints/0/addresses/0", value: address }]);
  service.endpoints = [address, ...service.endpoints.slice(1)];
}

/** Adds an endpoint to the service's, or takes the last one away. */
export async function scale(api: Api, service: Service, by: 1 | -1, address = ""): Promise<void> {
  const last = service.endpoints.length - 1;
  const operation =
    by === 1
      ? { op: "add", path: "/endpoints/-", value: endpoint(address) }
      : { op: "remove", path: `/endpoints/${last}` };
  await api.edit(sliceOf(service.name), [operation]);
  service.endpoints = by === 1 ? [...service.endpoints, address] : service.endpoints.slice(0, last);
}

/** Adds a service whose only endpoints are `endpoints`. */
export async function addService(api: Api, name: string, endpoints: readonly string[]): Promise<Service> {
  await api.create(slice(name, endpoints));
  const { spec } = await api.create({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: NAMESPACE },
    spec: { ports: [{ port: SERVICE_PORT, targetPort: ENDPOINT_PORT }] },
  });
  return { name, address: addressIn(spec), endpoints };
}

export async function removeService(api: Api, { name }: Service): Promise<void> {
  await api.delete({ apiVersion: "v1", kind: "Service", metadata: { name, namespace: NAMESPACE } });
  await api.delete(sliceOf(name));
}

async function create(api: Api, number: number): Promise<Service> {
  const first = number * PER_SERVICE;
  return await addService(
    api,
    `service-${number}`,
    Array.from({ length: PER_SERVICE }, (_, k) => addressOf(first + k)),
  );
}

function addressOf(number: number): string {
  return `10.${128 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
}

function slice(service: string, addresses: readonly string[]): Manifest {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: service, namespace: NAMESPACE, labels: { "kubernetes.io/service-name": service } },
    addressType: "IPv4",
    ports: [{ name: "", port: ENDPOINT_PORT, protocol: "TCP" }],
    endpoints: addresses.map(endpoint),
  };
}

function endpoint(address: string) {
  return { addresses: [address], conditions: { ready: true, serving: true, terminating: false }, nodeName: "other" };
}

function sliceOf(name: string) {
  return { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata: { name, namespace: NAMESPACE } };
}

function addressIn(spec: unknown): string {
  if (typeof spec === "object" && spec !== null && "clusterIP" in spec) return String(spec.clusterIP);
  throw new Error("the API server gave a service no address");
}
