/**
 * Which HTTP proxy leads to a server, by Go's rules (net/http, ProxyFromEnvironment), which are client-go's.
 *
 * The runtime's fetch would read the same variables, but knows no networks in NO_PROXY, and those are what people
 * write there: `10.0.0.0/8`. So it is told for each request.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { contains, parseCidr } from "../net/cidr.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy's URL for requests to `server`, from HTTPS_PROXY, HTTP_PROXY and NO_PROXY or the same in lower case;
 * undefined: none.
 *
 * @throws TsnetError `invalid` or `unsupported` for a proxy that we cannot use.
 */
export function proxyFor(server: string, env: Environment): string | undefined {
  const url = new URL(server);
  const name = url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  const proxy = env[name] || env[name.toLowerCase()];
  if (!proxy || isException(url, env.NO_PROXY || env.no_proxy || "")) return undefined;
  return parseProxy(proxy, name);
}

/** @param setting names where `proxy` is from, for the error. */
export function parseProxy(proxy: string, setting: string): string {
  const text = proxy.includes("://") ? proxy : `http://${proxy}`;
  if (!URL.canParse(text)) throw new TsnetError(`${setting} ${JSON.stringify(proxy)} is no URL`, { code: "invalid" });
  const { protocol } = new URL(text);
  if (protocol !== "http:" && protocol !== "https:") {
    throw new TsnetError(`${setting} ${JSON.stringify(proxy)}: only http and https proxies are supported`, {
      code: "unsupported",
    });
  }
  return text;
}

interface Target {
  readonly host: string;
  readonly port: string;
  readonly address: Address | undefined;
}

function isException(url: URL, exceptions: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  const target = { host, port, address: addressOf(host) };
  if (host === "localhost" || (target.address !== undefined && isLoopback(target.address))) return true;
  const entries = exceptions.split(",").map((text) => text.trim().toLowerCase());
  return entries.some((entry) => entry === "*" || (entry !== "" && excepts(entry, target)));
}

/** One entry: a network, or an address or name, maybe with a port. */
function excepts(entry: string, { host, port, address }: Target): boolean {
  if (entry.includes("/")) return address !== undefined && isIn(entry, address);
  const alone = addressOf(entry);
  if (alone !== undefined) return sameAddress(alone, address);
  const [, named = entry, wantedPort = port] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (wantedPort !== port) return false;
  const name = named.replace(/^\[|\]$/g, "");
  const other = addressOf(name);
  if (other !== undefined) return sameAddress(other, address);
  const suffix = name.replace(/^\*/, "");
  return suffix.startsWith(".") ? host.endsWith(suffix) : host === suffix || host.endsWith(`.${suffix}`);
}

function isIn(network: string, address: Address): boolean {
  try {
    return contains(parseCidr(network), address);
  } catch {
    return false;
  }
}

function sameAddress(a: Address, b: Address | undefined): boolean {
  return a.family === b?.family && a.value === b.value;
}

function isLoopback({ family, value }: Address): boolean {
  return family === 6 ? value === 1n : value >> 24n === 127n;
}

function addressOf(text: string): Address | undefined {
  try {
    return parseAddress(text);
  } catch {
    return undefined;
  }
}
