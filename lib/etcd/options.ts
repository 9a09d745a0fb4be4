/**
 * What etcd3 is told, so that it tries once and says how that went: a connection that fails is closed and another one
 * opened by whoever follows, who knows what has to be read again then.
 *
 * @module
 */
import tls from "node:tls";
import type { IOptions } from "etcd3";
import { TsnetError } from "../errors.ts";
import { readIfThere } from "../sys/files.ts";
import "./servername.ts";
import type { EtcdAccess } from "./types.ts";

/** Ms after which a connection that is silent is asked whether it is alive, and for its answer. etcd minds less than 5 s. */
const SILENT_MS = 7000;
const ALIVE_MS = 5000;
/** Ms that an answer may take. */
const ANSWER_MS = 5000;
/** Bytes: 100,000 leases, where gRPC would stop at 4 MiB. */
const MAX_ANSWER = 64 * 1024 * 1024;

/** etcd3's options. @throws TsnetError `not-found` or `io` for files, `invalid` for an endpoint that is no URL. */
export function optionsFor(access: EtcdAccess): IOptions {
  const { protocol, host } = targetOf(access.endpoint);
  const policy = new Once();
  return {
    hosts: `${protocol}//${host}`,
    ...(protocol === "https:" ? { credentials: credentialsOf(access) } : {}),
    ...(access.username === "" ? {} : { auth: authOf(access) }),
    faultHandling: { host: () => policy, global: policy },
    grpcOptions: {
      "grpc.keepalive_time_ms": SILENT_MS,
      "grpc.keepalive_timeout_ms": ALIVE_MS,
      "grpc.max_receive_message_length": MAX_ANSWER,
      // All services of one client go by one connection, and another client makes a new one, rather than wait until
      // an older one's long pauses are over: gRPC shares where all options are the same.
      "tsnet.client": Symbol("client"),
      // etcd is on the hosts' own network.
      "grpc.enable_http_proxy": 0,
    },
  };
}

/** Of a call that begins now. */
export function deadline(): { readonly deadline: number } {
  return { deadline: Date.now() + ANSWER_MS };
}

function targetOf(endpoint: string): { readonly protocol: string; readonly host: string } {
  const [, protocol, host, port] = /^(https?:)\/\/(\[[\da-fA-F:.]+\]|[^:/[\]]+)(:\d+)?\/*$/.exec(endpoint) ?? [];
  if (protocol === undefined || host === undefined) {
    throw new TsnetError(`${endpoint} is no URL of etcd, as https://10.0.0.1:2379 is`, { code: "invalid" });
  }
  return { protocol, host: `${host}${port ?? ":2379"}` };
}

function credentialsOf({ caFile, certFile, keyFile }: EtcdAccess): NonNullable<IOptions["credentials"]> {
  return {
    // With no authority of its own, etcd's certificate has to be from one that everybody trusts.
    rootCertificate: caFile === "" ? Buffer.from(tls.rootCertificates.join("\n")) : pem(caFile),
    ...(certFile === "" || keyFile === "" ? {} : { certChain: pem(certFile), privateKey: pem(keyFile) }),
  };
}

function authOf({ username, password }: EtcdAccess): NonNullable<IOptions["auth"]> {
  return { username, password, callOptions: deadline };
}

function pem(path: string): Buffer {
  const text = readIfThere(path);
  if (text === undefined)
    throw new TsnetError(`${path}, which etcd is asked with, is not there`, { code: "not-found" });
  return Buffer.from(text);
}

type Policy = NonNullable<NonNullable<IOptions["faultHandling"]>["global"]>;

/** A policy of etcd3's by which what fails has failed. */
class Once implements Policy {
  declare readonly _altReturn: never;
  readonly onSuccess: Policy["onSuccess"] = () => ({ dispose() {} });
  readonly onFailure: Policy["onFailure"] = () => ({ dispose() {} });
  readonly #signal = new AbortController().signal;

  async execute<T>(run: (context: { readonly signal: AbortSignal }) => PromiseLike<T> | T): Promise<T> {
    return await run({ signal: this.#signal });
  }
}
