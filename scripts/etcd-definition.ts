/**
 * gRPC's definition of etcd's services, in the bundle in place of the one that @grpc/proto-loader makes.
 *
 * The loader also makes descriptors of every message, for servers that tell what they offer. A client has no use for
 * them; they cost 45 ms and 15 MB at each start.
 *
 * @module
 */

/** What is used of protobufjs, which is a dependency of etcd3's and not ours. */
export interface Protobuf {
  readonly Root: { fromJSON(json: object): Root };
}
interface Root {
  resolveAll(): void;
  lookupService(name: string): Service;
}
interface Service {
  readonly methods: Readonly<Record<string, Method>>;
}
interface Method {
  readonly name: string;
  readonly requestStream?: boolean;
  readonly responseStream?: boolean;
  readonly resolvedRequestType: Type;
  readonly resolvedResponseType: Type;
}
interface Type {
  fromObject(value: object): object;
  toObject(message: object, options: object): object;
  encode(message: object): { finish(): Uint8Array };
  decode(bytes: Uint8Array): object;
}

/** Of the services of a package, as `grpc.loadPackageDefinition` takes it; `options` as the loader's. */
export function definitionOf(protobuf: Protobuf, json: Packages, options: object): object {
  const root = protobuf.Root.fromJSON(json);
  root.resolveAll();
  const names = Object.entries(json.nested).flatMap(([name, { nested }]) =>
    Object.keys(nested).flatMap((part) => ("methods" in (nested[part] ?? {}) ? [`${name}.${part}`] : [])),
  );
  return Object.fromEntries(names.map((name) => [name, serviceOf(name, root.lookupService(name), options)]));
}

export interface Packages {
  readonly nested: Readonly<Record<string, { readonly nested: Readonly<Record<string, object>> }>>;
}

function serviceOf(service: string, { methods }: Service, options: object): object {
  return Object.fromEntries(Object.values(methods).map((method) => [method.name, methodOf(service, method, options)]));
}

function methodOf(service: string, method: Method, options: object): object {
  const { name, requestStream = false, responseStream = false, resolvedRequestType, resolvedResponseType } = method;
  return {
    path: `/${service}/${name}`,
    originalName: name.charAt(0).toLowerCase() + name.slice(1),
    requestStream,
    responseStream,
    ...serialisation("request", resolvedRequestType, options),
    ...serialisation("response", resolvedResponseType, options),
  };
}

function serialisation(side: "request" | "response", type: Type, options: object): object {
  return {
    [`${side}Serialize`]: (value: object) => Buffer.from(type.encode(type.fromObject(value)).finish()),
    [`${side}Deserialize`]: (bytes: Uint8Array) => type.toObject(type.decode(bytes), options),
  };
}
