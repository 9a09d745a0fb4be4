/**
 * gRPC's definition of etcd's services, in the bundle in place of the one that @grpc/proto-loader makes of etcd3's
 * `rpc.proto` at each start.
 *
 * @module
 */
import { Codec, type Message, type Messages } from "./etcd-messages.ts";

/** What `etcd-proto.ts` found in the protocol: names of services, as `etcdserverpb.KV`, and of messages. */
export interface Protocol {
  readonly services: Readonly<Record<string, readonly Method[]>>;
  readonly messages: Messages;
}

interface Method {
  readonly name: string;
  /** Names of messages. */
  readonly request: string;
  readonly response: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

/** As `grpc.loadPackageDefinition` takes it. */
export function definitionOf({ services, messages }: Protocol): object {
  const codec = new Codec(messages);
  const serviceOf = (service: string, methods: readonly Method[]) =>
    Object.fromEntries(methods.map((method) => [method.name, methodOf(codec, service, method)]));
  return Object.fromEntries(Object.entries(services).map(([name, methods]) => [name, serviceOf(name, methods)]));
}

function methodOf(codec: Codec, service: string, method: Method): object {
  const { name, request, response, requestStream, responseStream } = method;
  return {
    path: `/${service}/${name}`,
    originalName: name.charAt(0).toLowerCase() + name.slice(1),
    requestStream,
    responseStream,
    requestSerialize: (message: Message) => codec.encode(request, message),
    requestDeserialize: (bytes: Buffer) => codec.decode(request, bytes),
    responseSerialize: (message: Message) => codec.encode(response, message),
    responseDeserialize: (bytes: Buffer) => codec.decode(response, bytes),
  };
}
