/**
 * Lets TLS be spoken with a server that is known by its address.
 *
 * gRPC tells TLS its server's name even where that is an address. TLS has no such name (RFC 6066, section 3): Node
 * leaves it out, Bun throws, and etcd's endpoints are addresses more often than not. The server's certificate is
 * compared with the address all the same, as `host`.
 *
 * @module
 */
import tls from "node:tls";
import { isTsnetError } from "../errors.ts";
import { parseAddress } from "../net/address.ts";

// Once a process, for whoever calls it after: gRPC takes the function from the module at each connection.
Object.defineProperty(tls, "connect", {
  value: new Proxy(tls.connect, {
    apply: (connect, self, [options, ...rest]: [unknown, ...unknown[]]) =>
      Reflect.apply(connect, self, [withoutAddress(options), ...rest]),
  }),
});

function withoutAddress(options: unknown): unknown {
  if (typeof options !== "object" || options === null || !("servername" in options)) return options;
  const { servername, ...others } = options;
  return typeof servername === "string" && isAddress(servername) ? others : options;
}

function isAddress(text: string): boolean {
  try {
    parseAddress(text.replace(/^\[|\]$/g, ""));
    return true;
  } catch (error) {
    if (isTsnetError(error, "invalid")) return false;
    throw error;
  }
}
