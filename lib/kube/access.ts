/**
 * How an API server is reached and by whom, as a kubeconfig or the pod that we run in tells it.
 *
 * Of what may be a file only the path is kept: certificates and tokens are replaced while we run, so they are read
 * when a request is made ({@link Credentials}).
 *
 * @module
 */

/** Text that is given once and for all, or a file with it. */
export type Material = { readonly text: string } | { readonly file: string };

/** A plugin that is run to get a token or a certificate (client.authentication.k8s.io). */
export interface ExecPlugin {
  readonly command: string;
  readonly args: readonly string[];
  /** Variables besides ours. */
  readonly env: Readonly<Record<string, string>>;
  readonly apiVersion: string;
  /** It wants to know which cluster it is for. */
  readonly provideClusterInfo: boolean;
}

export interface Access {
  /** `https://host:port` and maybe a path, with no slash at the end. */
  readonly server: string;
  /** The name that the server's certificate has to be for, where it is not the host of `server`. */
  readonly serverName: string | undefined;
  /** Any certificate will do. */
  readonly insecure: boolean;
  /** PEM, all. Undefined: the system's authorities. */
  readonly ca: Material | undefined;
  readonly cert: Material | undefined;
  readonly key: Material | undefined;
  /** In the order of precedence: a file that cannot be read gives way to the next. */
  readonly tokens: readonly Material[];
  readonly basic: { readonly username: string; readonly password: string } | undefined;
  readonly exec: ExecPlugin | undefined;
  /** `Impersonate-*`. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** `proxy-url`: goes before the environment's. */
  readonly proxyUrl: string | undefined;
}
