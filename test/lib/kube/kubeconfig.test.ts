import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { inClusterAccess } from "../../../lib/kube/incluster.ts";
import { parseKubeconfig, readKubeconfig, serverUrl } from "../../../lib/kube/kubeconfig.ts";

const directory = mkdtempSync(join(tmpdir(), "tsnet-kubeconfig-"));
afterAll(() => rmSync(directory, { recursive: true }));

const base64 = (text: string) => Buffer.from(text).toString("base64");

/** A kubeconfig of one cluster and one user. */
function config(cluster: object, user: object = {}): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "here",
    clusters: [{ name: "c", cluster: { server: "https://10.0.0.1:6443", ...cluster } }],
    contexts: [{ name: "here", context: { cluster: "c", user: "u" } }],
    users: [{ name: "u", user }],
  });
}

describe("a kubeconfig", () => {
  test("as kubeadm writes it into kube-proxy's config map", () => {
    const text = `
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://192.168.1.10:6443
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
`;
    expect(parseKubeconfig(text, "/etc")).toMatchObject({
      server: "https://192.168.1.10:6443",
      ca: { file: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt" },
      tokens: [{ file: "/var/run/secrets/kubernetes.io/serviceaccount/token" }],
      cert: undefined,
      insecure: false,
    });
  });

  test("gives data in the place of files, and files beside itself", () => {
    const user = {
      "client-certificate-data": base64("CERT"),
      "client-certificate": "ignored.crt",
      "client-key": "keys/user.key",
      token: "abc",
      tokenFile: "token",
    };
    const text = config({ "certificate-authority": "ca.crt", "tls-server-name": "kubernetes" }, user);
    expect(parseKubeconfig(text, "/etc/kube")).toMatchObject({
      ca: { file: "/etc/kube/ca.crt" },
      cert: { text: "CERT" },
      key: { file: "/etc/kube/keys/user.key" },
      tokens: [{ file: "/etc/kube/token" }, { text: "abc" }],
      serverName: "kubernetes",
    });
  });

  test("names a proxy, a user's password, whom to act as, and that no certificate is to be checked", () => {
    const user = { username: "me", password: "secret", as: "other", "as-groups": ["g"] };
    const text = config({ "proxy-url": "http://proxy:3128", "insecure-skip-tls-verify": true }, user);
    expect(parseKubeconfig(text, "/")).toMatchObject({
      proxyUrl: "http://proxy:3128",
      insecure: true,
      basic: { username: "me", password: "secret" },
      headers: [
        ["Impersonate-User", "other"],
        ["Impersonate-Group", "g"],
      ],
    });
  });

  test("names a credential plugin, with its path beside itself", () => {
    const exec = {
      apiVersion: "client.authentication.k8s.io/v1beta1",
      command: "./get-token",
      args: ["--now"],
      env: [{ name: "A", value: "b" }],
      provideClusterInfo: true,
    };
    expect(parseKubeconfig(config({}, { exec }), "/etc/kube").exec).toEqual({
      command: "/etc/kube/./get-token",
      args: ["--now"],
      env: { A: "b" },
      apiVersion: "client.authentication.k8s.io/v1beta1",
      provideClusterInfo: true,
    });
  });

  test("does not read the token files of users that are not asked for", () => {
    const text = JSON.stringify({
      ...JSON.parse(config({})),
      users: [
        { name: "other", user: { "token-file": "/nowhere/token" } },
        { name: "u", user: { token: "abc" } },
      ],
    });
    expect(parseKubeconfig(text, "/").tokens).toEqual([{ text: "abc" }]);
  });

  test("gives way to a master in the place of its server, and keeps its user", () => {
    expect(parseKubeconfig(config({}, { token: "abc" }), "/", "https://api:443/prefix/")).toMatchObject({
      server: "https://api/prefix",
      tokens: [{ text: "abc" }],
    });
  });

  test.each([
    ["a context that is not there", { "current-context": "other" }, /current-context is other/],
    ["a cluster that is not there", { clusters: [] }, /names cluster c/],
    ["a user that is not there", { users: [] }, /names user u/],
    ["no current context", { "current-context": "" }, /no current-context/],
    ["a cluster without a server", { clusters: [{ name: "c", cluster: {} }] }, /server is missing/],
    [
      "a server that is no URL",
      { clusters: [{ name: "c", cluster: { server: "ftp://x" } }] },
      /"ftp:\/\/x" is no URL of an API server/,
    ],
  ])("with %s is refused, by its path", (_, change, message) => {
    const path = join(directory, "config");
    writeFileSync(path, JSON.stringify({ ...JSON.parse(config({})), ...change }));
    expect(() => readKubeconfig(path)).toThrow(message);
    expect(() => readKubeconfig(path)).toThrow(`kubeconfig ${path}: `);
  });

  test("with an auth-provider is refused, since there is no such thing any more", () => {
    const text = config({}, { "auth-provider": { name: "gcp", config: {} } });
    expect(() => parseKubeconfig(text, "/")).toThrow(expect.objectContaining({ code: "unsupported" }));
  });

  test("that is not there or no YAML says so", () => {
    expect(() => readKubeconfig(join(directory, "none"))).toThrow(expect.objectContaining({ code: "not-found" }));
    expect(() => parseKubeconfig("a: [", "/")).toThrow(expect.objectContaining({ code: "decoding" }));
  });
});

test.each([
  ["10.0.0.1:8080", "http://10.0.0.1:8080"],
  ["https://10.0.0.1:6443/", "https://10.0.0.1:6443"],
  ["https://[fd00::1]:6443", "https://[fd00::1]:6443"],
  ["https://rancher.example/k8s/clusters/c-1/", "https://rancher.example/k8s/clusters/c-1"],
])("the server %s is %s", (server, expected) => {
  expect(serverUrl(server)).toBe(expected);
});

describe("in a cluster", () => {
  test("the server is in the environment, IPv6 in brackets, and the files are the service account's", () => {
    writeFileSync(join(directory, "ca.crt"), "CA");
    const env = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };
    expect(inClusterAccess(env, directory)).toMatchObject({
      server: "https://[fd00::1]:443",
      ca: { file: `${directory}/ca.crt` },
      tokens: [{ file: `${directory}/token` }],
    });
  });

  test("means in a pod: outside there is a message that says what to give", () => {
    expect(() => inClusterAccess({}, directory)).toThrow(/neither kubeconfig nor master/);
  });
});
