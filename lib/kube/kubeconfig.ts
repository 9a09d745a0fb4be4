/**
 * Reads a kubeconfig: which cluster, which user.
 *
 * The shape of its entries is that of @kubernetes/client-node, of which only the module that knows them is loaded:
 * its KubeConfig brings in every API there is, 33 MB of memory, where this takes 4. What it does not know is read
 * from the entry itself: `tokenFile`, impersonated groups, a plugin's API version. As in client-go data goes before
 * the file of the same name, and a relative path is one beside the kubeconfig.
 *
 * @module
 */
import {
  type Cluster,
  newClusters,
  newContexts,
  newUsers,
  type User,
} from "@kubernetes/client-node/dist/config_types.js";
import { isTsnetError, messageOf, TsnetError } from "../errors.ts";
import { readIfThere } from "../sys/files.ts";
import type { Access, ExecPlugin, Material } from "./access.ts";
import { type Fields, fieldsOf, listOf, textOf } from "./fields.ts";

/**
 * The access that the current context of the kubeconfig at `path` gives.
 *
 * @param master goes before the cluster's server if it is not empty.
 * @throws TsnetError `not-found`, `decoding`, `invalid` and `unsupported`, naming the file.
 */
export function readKubeconfig(path: string, master = ""): Access {
  const text = readIfThere(path);
  if (text === undefined) throw new TsnetError(`there is no kubeconfig ${path}`, { code: "not-found", op: OP });
  try {
    return parseKubeconfig(text, directoryOf(path), master);
  } catch (error) {
    const code = isTsnetError(error) ? error.code : "invalid";
    throw new TsnetError(`kubeconfig ${path}: ${messageOf(error)}`, { code, op: OP, cause: error });
  }
}

/** The same of its text. Relative paths are below `directory`. */
export function parseKubeconfig(text: string, directory: string, master = ""): Access {
  const config = fieldsOf(parseText(text));
  const { cluster, user, rawUser } = currentOf(config);
  const server = master === "" ? cluster?.server : master;
  if (server === undefined) throw invalid("no current-context names a cluster, and no master is given");
  return {
    ...clusterPart(cluster, serverUrl(server), directory),
    ...userPart(user, rawUser, directory),
  };
}

/** `host:port` and an address without a scheme are http, as for kubectl. @throws TsnetError `invalid`. */
export function serverUrl(server: string): string {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(server) ? server : `http://${server}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw invalid(`${JSON.stringify(server)} is no URL of an API server: https://host:port`);
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

const OP = "read kubeconfig";

/** The runtime's own YAML costs no memory, while a library of its own takes 6 MB for as long as we run. */
function parseText(text: string): unknown {
  try {
    return Bun.YAML.parse(text);
  } catch (cause) {
    throw new TsnetError(`is no YAML: ${messageOf(cause)}`, { code: "decoding", op: OP, cause });
  }
}

function currentOf(config: Fields): { cluster?: Cluster; user?: User; rawUser: Fields } {
  const name = textOf(config["current-context"]);
  if (name === undefined) return { rawUser: {} };
  const context = newContexts(config.contexts).find((each) => each.name === name);
  if (context === undefined) throw invalid(`current-context is ${name}, and there is no such context`);
  const cluster = newClusters(config.clusters).find((each) => each.name === context.cluster);
  if (cluster === undefined)
    throw invalid(`context ${name} names cluster ${context.cluster}, and there is no such cluster`);
  if (context.user === undefined) return { cluster, rawUser: {} };
  const user = newUsers(withoutTokenFiles(config.users)).find((each) => each.name === context.user);
  if (user === undefined) throw invalid(`context ${name} names user ${context.user}, and there is no such user`);
  const raw = listOf(config.users).find((each) => fieldsOf(each).name === context.user);
  return { cluster, user, rawUser: fieldsOf(fieldsOf(raw).user) };
}

/** client-node would read these at once, for every user, and keep what was in them. */
function withoutTokenFiles(users: unknown): unknown {
  return listOf(users).map((each) => {
    const entry = fieldsOf(each);
    return { ...entry, user: { ...fieldsOf(entry.user), "token-file": undefined } };
  });
}

function clusterPart(cluster: Cluster | undefined, server: string, directory: string) {
  return {
    server,
    serverName: cluster?.tlsServerName || undefined,
    insecure: cluster?.skipTLSVerify === true,
    ca: materialOf(cluster?.caData, cluster?.caFile, directory),
    proxyUrl: cluster?.proxyUrl || undefined,
  };
}

function userPart(user: User | undefined, raw: Fields, directory: string) {
  const provider = textOf(fieldsOf(user?.authProvider).name);
  if (provider !== undefined) {
    throw new TsnetError(`user ${user?.name} has the auth-provider ${provider}: use a token, a certificate or exec`, {
      code: "unsupported",
      op: OP,
    });
  }
  const tokenFile = textOf(raw.tokenFile) ?? textOf(raw["token-file"]);
  return {
    cert: materialOf(user?.certData, user?.certFile, directory),
    key: materialOf(user?.keyData, user?.keyFile, directory),
    tokens: [
      ...(tokenFile === undefined ? [] : [{ file: beside(directory, tokenFile) }]),
      ...(user?.token ? [{ text: user.token }] : []),
    ],
    basic: user?.username ? { username: user.username, password: user.password ?? "" } : undefined,
    exec: user?.exec ? execOf(fieldsOf(user.exec), directory) : undefined,
    headers: impersonation(raw),
  };
}

function execOf(exec: Fields, directory: string): ExecPlugin {
  const command = textOf(exec.command);
  if (command === undefined) throw invalid("users[].user.exec has no command");
  if (exec.interactiveMode === "Always") {
    throw new TsnetError(`the plugin ${command} wants a terminal (interactiveMode: Always)`, {
      code: "unsupported",
      op: OP,
    });
  }
  const env = listOf(exec.env).map(fieldsOf);
  return {
    command: command.includes("/") ? beside(directory, command) : command,
    args: listOf(exec.args).map(String),
    env: Object.fromEntries(env.map(({ name, value }) => [String(name), String(value ?? "")])),
    apiVersion: textOf(exec.apiVersion) ?? "client.authentication.k8s.io/v1",
    provideClusterInfo: exec.provideClusterInfo === true,
  };
}

function impersonation(raw: Fields): readonly (readonly [string, string])[] {
  const groups = listOf(raw["as-groups"]);
  // Of several groups each needs a header of the same name, and fetch makes one of them.
  if (groups.length > 1 || Object.keys(fieldsOf(raw["as-user-extra"])).length > 0) {
    throw new TsnetError("as-user-extra and more than one of as-groups are not supported", {
      code: "unsupported",
      op: OP,
    });
  }
  const header = (name: string, value: unknown) => (textOf(value) ? [[name, String(value)] as const] : []);
  return [
    ...header("Impersonate-User", raw.as),
    ...header("Impersonate-Uid", raw["as-uid"]),
    ...header("Impersonate-Group", groups[0]),
  ];
}

function materialOf(base64: string | undefined, file: string | undefined, directory: string): Material | undefined {
  if (base64) return { text: Buffer.from(base64, "base64").toString("utf8") };
  return file ? { file: beside(directory, file) } : undefined;
}

function beside(directory: string, path: string): string {
  return path.startsWith("/") ? path : `${directory}/${path}`;
}

function directoryOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end < 0 ? "." : path.slice(0, end) || "/";
}

function invalid(message: string): TsnetError {
  return new TsnetError(message, { code: "invalid", op: OP });
}
