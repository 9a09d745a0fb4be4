/**
 * A credential plugin: a program that prints a token or a client certificate, as client.authentication.k8s.io has it.
 *
 * @module
 */
import { messageOf, TsnetError } from "../errors.ts";
import { run } from "../sys/run.ts";
import type { Access, ExecPlugin } from "./access.ts";
import { fieldsOf, textOf } from "./fields.ts";

/** What a plugin gave, PEM and a bearer token. */
export interface ExecCredential {
  readonly token: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

const TIMEOUT_MS = 60_000;

/** Runs a plugin when there is need, and keeps what it gave until that expires. */
export class ExecSession {
  readonly #plugin: ExecPlugin;
  readonly #cluster: Pick<Access, "server" | "serverName" | "insecure" | "ca">;
  /** Of the last run, maybe one that is under way: several requests wait for the same. */
  #current: Promise<Issued> | undefined;
  #expiresAt = Number.POSITIVE_INFINITY;

  constructor(plugin: ExecPlugin, cluster: Pick<Access, "server" | "serverName" | "insecure" | "ca">) {
    this.#plugin = plugin;
    this.#cluster = cluster;
  }

  /** @throws TsnetError `program` if it fails, `decoding` if it prints no ExecCredential. */
  async credential(): Promise<ExecCredential> {
    if (this.#current === undefined || Date.now() >= this.#expiresAt) {
      this.#expiresAt = Number.POSITIVE_INFINITY;
      this.#current = this.#issue();
    }
    const current = this.#current;
    try {
      const issued = await current;
      this.#expiresAt = issued.expiresAt;
      return issued;
    } catch (error) {
      if (this.#current === current) this.#current = undefined;
      throw error;
    }
  }

  /** True if there was one. */
  forget(): boolean {
    const had = this.#current !== undefined;
    this.#current = undefined;
    return had;
  }

  async #issue(): Promise<Issued> {
    const { command, args, env } = this.#plugin;
    const { exitCode, stdout, stderr } = await run(command, args, {
      env: { ...process.env, ...env, KUBERNETES_EXEC_INFO: this.#info() },
      timeoutMs: TIMEOUT_MS,
      light: true,
    });
    if (exitCode !== 0) {
      const said = stderr.trim().slice(0, 500);
      throw new TsnetError(`credential plugin ${command} ended with ${exitCode}: ${said}`, { code: "program", op: OP });
    }
    return parse(command, stdout);
  }

  #info(): string {
    const { server, serverName, insecure, ca } = this.#cluster;
    const cluster = {
      server,
      ...(serverName !== undefined && { "tls-server-name": serverName }),
      ...(insecure && { "insecure-skip-tls-verify": true }),
      ...(ca && "text" in ca && { "certificate-authority-data": Buffer.from(ca.text).toString("base64") }),
    };
    const { apiVersion, provideClusterInfo } = this.#plugin;
    const spec = { interactive: false, ...(provideClusterInfo && { cluster }) };
    return JSON.stringify({ kind: "ExecCredential", apiVersion, spec });
  }
}

interface Issued extends ExecCredential {
  /** ms since 1970. */
  readonly expiresAt: number;
}

const OP = "run credential plugin";

function parse(command: string, text: string): Issued {
  const status = fieldsOf(fieldsOf(parseJson(command, text)).status);
  const token = textOf(status.token);
  const cert = textOf(status.clientCertificateData);
  const key = textOf(status.clientKeyData);
  if (token === undefined && (cert === undefined || key === undefined)) {
    throw new TsnetError(`credential plugin ${command} gave neither a token nor a certificate with its key`, {
      code: "decoding",
      op: OP,
    });
  }
  const expires = Date.parse(textOf(status.expirationTimestamp) ?? "");
  return { token, cert, key, expiresAt: Number.isNaN(expires) ? Number.POSITIVE_INFINITY : expires };
}

function parseJson(command: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TsnetError(`credential plugin ${command} printed no JSON: ${messageOf(cause)}`, {
      code: "decoding",
      op: OP,
      cause,
    });
  }
}
