/**
 * What a request shows to the server: certificates, a token, headers; and whom it trusts.
 *
 * Everything that is a file is read for each request. There are few, one a watch every some minutes, and so a token
 * that the kubelet replaced, a renewed certificate or authority is in use from the next one on, with no clock or
 * watch of ours.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { readIfThere } from "../sys/files.ts";
import type { Access, Material } from "./access.ts";
import { type ExecCredential, ExecSession } from "./exec.ts";

/** As the runtime's fetch takes it. PEM. */
export interface Tls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface Shown {
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly tls: Tls;
}

/** The credentials of one {@link Access}. */
export class Credentials {
  readonly #access: Access;
  readonly #exec: ExecSession | undefined;
  /** The last token by its file: while a file is being replaced it may not be there. */
  readonly #last = new Map<string, string>();

  constructor(access: Access) {
    this.#access = access;
    this.#exec = access.exec && new ExecSession(access.exec, access);
  }

  /** @throws TsnetError for a file that is not there, or a plugin that fails. */
  async show(): Promise<Shown> {
    const { basic, headers } = this.#access;
    const plugin = await this.#exec?.credential();
    const token = plugin?.token ?? this.#token();
    const authorization =
      token !== undefined
        ? `Bearer ${token}`
        : basic && `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString("base64")}`;
    return {
      headers: authorization === undefined ? headers : [["Authorization", authorization], ...headers],
      tls: this.#tls(plugin),
    };
  }

  /** The server did not accept what was shown: what a plugin gave is not used again. True if there was such. */
  refused(): boolean {
    return this.#exec?.forget() ?? false;
  }

  #tls(plugin: ExecCredential | undefined): Tls {
    const { ca, cert, key, serverName, insecure } = this.#access;
    const own = plugin?.cert === undefined ? { cert: read(cert), key: read(key) } : plugin;
    const authority = read(ca);
    return {
      ...(authority !== undefined && { ca: authority }),
      ...(own.cert !== undefined && { cert: own.cert }),
      ...(own.key !== undefined && { key: own.key }),
      ...(serverName !== undefined && { serverName }),
      ...(insecure && { rejectUnauthorized: false }),
    };
  }

  #token(): string | undefined {
    const { tokens } = this.#access;
    for (const material of tokens) {
      const token = "text" in material ? material.text.trim() : this.#readToken(material.file);
      if (token !== undefined && token !== "") return token;
    }
    const [first] = tokens;
    if (first === undefined) return undefined;
    const where = "file" in first ? `no token in ${first.file}` : "the token is empty";
    throw new TsnetError(`${where}: is the service account mounted?`, { code: "not-found", op: "read token" });
  }

  #readToken(path: string): string | undefined {
    let text: string | undefined;
    try {
      text = readIfThere(path)?.trim();
    } catch {
      text = undefined;
    }
    if (text !== undefined && text !== "") this.#last.set(path, text);
    return this.#last.get(path);
  }
}

function read(material: Material | undefined): string | undefined {
  if (material === undefined) return undefined;
  if ("text" in material) return material.text;
  const text = readIfThere(material.file);
  if (text === undefined) throw new TsnetError(`${material.file} is not there`, { code: "not-found", op: "read PEM" });
  return text;
}
