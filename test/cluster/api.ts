/**
 * A small client of a cluster's API server for tests: what `kubectl create`, `patch`, `delete` and `get --raw` do.
 *
 * @module
 */

/** A Kubernetes object as it stands in a manifest. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

/** Names one object. */
export type Reference = Pick<Manifest, "apiVersion" | "kind"> & {
  readonly metadata: { readonly name: string; readonly namespace?: string };
};

export interface Credentials {
  /** Such as `https://127.0.0.1:6443`. */
  readonly server: string;
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
}

/** The API server said no. */
export class ApiError extends Error {
  /** HTTP's: 404, 409, 410, 422. */
  readonly status: number;
  constructor(request: string, status: number, message: string) {
    super(`${request}: ${status}: ${message}`);
    this.status = status;
  }
}

// Where each kind is kept; all are in a namespace that are not said to be the cluster's.
const PLACES: Readonly<Record<string, string>> = {
  Service: "services",
  Endpoints: "endpoints",
  EndpointSlice: "endpointslices",
  Pod: "pods",
  Event: "events",
  ConfigMap: "configmaps",
  ServiceAccount: "serviceaccounts",
  DaemonSet: "daemonsets",
  Node: "nodes!",
  Namespace: "namespaces!",
  ServiceCIDR: "servicecidrs!",
  ClusterRole: "clusterroles!",
  ClusterRoleBinding: "clusterrolebindings!",
};

export class Api {
  readonly #credentials: Credentials;

  constructor(credentials: Credentials) {
    this.#credentials = credentials;
  }

  /** Creates an object; `dryRun` has the server check it and do nothing. Returns it as the server made it. */
  create(object: Manifest, options: { readonly dryRun?: boolean } = {}): Promise<Manifest> {
    const query = options.dryRun === true ? "?dryRun=All&fieldValidation=Strict" : "";
    return this.#change("POST", collectionOf(object) + query, object, "application/json");
  }

  /** Merges `patch` into an object (null removes a key, lists are replaced), or into its status. */
  patch(object: Reference, patch: object, subresource: "" | "status" = ""): Promise<Manifest> {
    const path = pathOf(object) + (subresource === "" ? "" : `/${subresource}`);
    return this.#change("PATCH", path, patch, "application/merge-patch+json");
  }

  /** Puts an object in the place of the one of its name, or its status: what it does not say is gone. */
  replace(object: Manifest, subresource: "" | "status" = ""): Promise<Manifest> {
    const path = pathOf(object) + (subresource === "" ? "" : `/${subresource}`);
    return this.#change("PUT", path, object, "application/json");
  }

  /** Changes an object by RFC 6902 operations: a large one for the price of a small one. */
  edit(object: Reference, operations: readonly object[]): Promise<Manifest> {
    return this.#change("PATCH", pathOf(object), operations, "application/json-patch+json");
  }

  /** Creates an object, and gives it its status, which creation leaves out. */
  async createWithStatus(object: Manifest): Promise<Manifest> {
    const created = await this.create(object);
    return object.status === undefined ? created : await this.patch(object, { status: object.status }, "status");
  }

  /** Deletes an object at once; one that is not there is fine. */
  async delete(object: Reference): Promise<void> {
    try {
      await this.request("DELETE", pathOf(object), { gracePeriodSeconds: 0 });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  }

  async get(object: Reference): Promise<Manifest> {
    return manifest(await this.request("GET", pathOf(object)));
  }

  /** All of a kind, in one namespace or in all. */
  async list(apiVersion: string, kind: string, namespace?: string): Promise<readonly Manifest[]> {
    const { path, clusterWide } = placeOf(apiVersion, kind);
    const scope = clusterWide || namespace === undefined ? "" : `/namespaces/${namespace}`;
    const list = await this.request("GET", `${rootOf(apiVersion)}${scope}/${path}`);
    const items = typeof list === "object" && list !== null && "items" in list ? list.items : [];
    return Array.isArray(items) ? items : [];
  }

  /** A token for a service account, as kubelet asks for it. */
  async token(namespace: string, name: string, seconds = 3600): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
    const asked = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: { expirationSeconds: seconds },
    };
    const { status } = manifest(await this.request("POST", path, asked));
    if (typeof status !== "object" || status === null || !("token" in status)) throw new Error(`no token in ${path}`);
    return String(status.token);
  }

  /** One request: the answer as JSON, or as text where it is none. @throws ApiError */
  async request(
    method: string,
    path: string,
    body?: unknown,
    contentType = "application/json",
    signal?: AbortSignal,
  ): Promise<unknown> {
    const { server, ca, cert, key, token } = this.#credentials;
    const response = await fetch(server + path, {
      method,
      headers: {
        "content-type": contentType,
        accept: "application/json",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
      tls: { ca, ...(cert === undefined || key === undefined ? {} : { cert, key }) },
    });
    const text = await response.text();
    if (!response.ok) throw new ApiError(`${method} ${path}`, response.status, messageIn(text));
    return text.startsWith("{") ? JSON.parse(text) : text;
  }

  async #change(method: string, path: string, body: unknown, contentType: string): Promise<Manifest> {
    return manifest(await this.request(method, path, body, contentType));
  }
}

/** The path of one object, such as `/api/v1/namespaces/default/services/web`. */
export function pathOf(object: Reference): string {
  return `${collectionOf(object)}/${object.metadata.name}`;
}

function collectionOf(object: Reference): string {
  const { path, clusterWide } = placeOf(object.apiVersion, object.kind);
  const scope = clusterWide ? "" : `/namespaces/${object.metadata.namespace ?? "default"}`;
  return `${rootOf(object.apiVersion)}${scope}/${path}`;
}

function placeOf(apiVersion: string, kind: string): { readonly path: string; readonly clusterWide: boolean } {
  const place = PLACES[kind];
  if (place === undefined) throw new Error(`test/cluster/api.ts does not know where ${apiVersion} ${kind} is kept`);
  return { path: place.replace("!", ""), clusterWide: place.endsWith("!") };
}

function rootOf(apiVersion: string): string {
  return apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

function manifest(value: unknown): Manifest {
  if (isManifest(value)) return value;
  throw new Error(`the API server answered with no object: ${JSON.stringify(value).slice(0, 200)}`);
}

function isManifest(value: unknown): value is Manifest {
  return typeof value === "object" && value !== null && "kind" in value && "apiVersion" in value && "metadata" in value;
}

function messageIn(text: string): string {
  try {
    const status: unknown = JSON.parse(text);
    if (typeof status === "object" && status !== null && "message" in status) return String(status.message);
  } catch {
    // Not JSON: the text says it.
  }
  return text.trim();
}
