/**
 * Where hosts are told from, by the flags: Kubernetes where `--kube-subnet-mgr` says so, else etcd where anything of
 * etcd is given, else the file.
 *
 * flannel takes etcd at its default address where nothing is said; here that is the file.
 *
 * @module
 */
import { type Given, isOn, listOf, numberOf, textOf } from "../../lib/daemon/flags.ts";
import type { EtcdSettings, KubeSettings, SourceSettings } from "../settings.ts";

export type GivenFlags = ReadonlyMap<string, Given>;

/** What is wrong, and what changes nothing, a line each. */
export interface Complaints {
  readonly problem: (text: string) => void;
  readonly warn: (text: string) => void;
}

const ETCD_FLAGS = [
  "etcd-endpoints",
  "etcd-prefix",
  "etcd-cafile",
  "etcd-certfile",
  "etcd-keyfile",
  "etcd-username",
  "etcd-password",
] as const;
const KUBE_FLAGS = ["kubeconfig-file", "kube-api-url", "kube-annotation-prefix", "net-config-path"] as const;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
// Below that etcd makes leases longer by itself: they outlast an election.
const LEAST_TTL_MS = 5000;

export function sourceOf(given: GivenFlags, complaints: Complaints): SourceSettings {
  const etcd = ETCD_FLAGS.filter((name) => given.has(name));
  const kube = isOn(given, "kube-subnet-mgr");
  const hosts = textOf(given, "hosts");
  const others = kube ? ["--kube-subnet-mgr"] : etcd.map((name) => `--${name}`);
  if (hosts !== undefined && others.length > 0) {
    complaints.problem(`--hosts and ${others.join(", ")}: hosts are told from one place, choose one`);
  }
  if (kube && etcd.length > 0) complaints.warn(`${flagList(etcd)}: nothing is asked of etcd with --kube-subnet-mgr`);
  if (!kube) {
    const idle = KUBE_FLAGS.filter((name) => given.has(name));
    if (idle.length > 0) complaints.warn(`${flagList(idle)}: nothing is asked of Kubernetes without --kube-subnet-mgr`);
  }
  if (kube) return kubeOf(given, complaints);
  if (etcd.length > 0) return etcdOf(given, complaints);
  return { kind: "static", file: hosts === undefined || hosts === "" ? "/etc/tsnet/overlay.yaml" : hosts };
}

function kubeOf(given: GivenFlags, complaints: Complaints): KubeSettings {
  return {
    kind: "kube",
    kubeconfig: textOf(given, "kubeconfig-file") ?? "",
    master: textOf(given, "kube-api-url") ?? "",
    annotationPrefix: annotationPrefixOf(
      textOf(given, "kube-annotation-prefix") ?? "flannel.alpha.coreos.com",
      complaints,
    ),
    netConfPath: textOf(given, "net-config-path") ?? "/etc/kube-flannel/net-conf.json",
    setNetworkUnavailable: given.get("set-node-network-unavailable")?.value !== false,
  };
}

/** A domain, and after its slash a name that ends in a dash, or nothing: `example.com/`, `example.com/net-`. */
function annotationPrefixOf(text: string, { problem }: Complaints): string {
  const slashed = text.includes("/") ? text : `${text}/`;
  const prefix = /[/-]$/.test(slashed) ? slashed : `${slashed}-`;
  if (!/^([a-z0-9_-]+\.)+[a-z0-9_-]+\/([a-z0-9_-]+-)?$/.test(prefix)) {
    problem(`--kube-annotation-prefix=${text}: wanted is a domain such as example.com, or example.com/name`);
  }
  return prefix;
}

function etcdOf(given: GivenFlags, complaints: Complaints): EtcdSettings {
  const file = (name: (typeof ETCD_FLAGS)[number]) => textOf(given, name) ?? "";
  const settings = {
    kind: "etcd" as const,
    prefix: (file("etcd-prefix") || "/coreos.com/network").replace(/\/+/g, "/").replace(/\/$/, ""),
    caFile: file("etcd-cafile"),
    certFile: file("etcd-certfile"),
    keyFile: file("etcd-keyfile"),
    username: file("etcd-username"),
    password: file("etcd-password"),
  };
  const { problem } = complaints;
  if ((settings.certFile === "") !== (settings.keyFile === "")) {
    problem("--etcd-certfile and --etcd-keyfile go together: give both");
  }
  if (settings.username === "" && settings.password !== "") problem("--etcd-password: --etcd-username is missing");
  if (settings.prefix === "") problem("--etcd-prefix: wanted is a key such as /coreos.com/network");
  const secure = settings.caFile !== "" || settings.certFile !== "";
  return { ...settings, endpoints: endpointsOf(given, secure, complaints), ...leaseTimes(given, complaints) };
}

function endpointsOf(given: GivenFlags, secure: boolean, { problem }: Complaints): readonly string[] {
  const texts = listOf(given, "etcd-endpoints").flatMap((text) => text.trim() || []);
  if (texts.length === 0) return ["http://127.0.0.1:2379"];
  return texts.map((text) => {
    const url = text.includes("://") ? text : `${secure ? "https" : "http"}://${text}`;
    if (!/^https?:\/\/(\[[0-9a-fA-F:.]+\]|[^\s/:[\]]+)(:\d{1,5})?\/?$/.test(url)) {
      problem(`--etcd-endpoints: ${JSON.stringify(text)} is no URL such as https://10.0.0.1:2379`);
    }
    return url.replace(/\/$/, "");
  });
}

function leaseTimes(
  given: GivenFlags,
  { problem }: Complaints,
): { readonly ttl: number; readonly renewMargin: number } {
  const ttl = numberOf(given, "subnet-lease-ttl") ?? DAY_MS;
  if (ttl < LEAST_TTL_MS) problem("--subnet-lease-ttl: wanted is 5s at least");
  const minutes = numberOf(given, "subnet-lease-renew-margin");
  if (minutes === undefined) return { ttl, renewMargin: Math.min(60 * MINUTE_MS, (ttl * 2) / 3) };
  if (minutes < 1 || minutes > 1439) {
    problem(`--subnet-lease-renew-margin=${minutes}: wanted is 1 to 1439, in minutes`);
  } else if (minutes * MINUTE_MS >= ttl) {
    problem(`--subnet-lease-renew-margin=${minutes}: it is not less than what the lease lasts, --subnet-lease-ttl`);
  }
  return { ttl, renewMargin: minutes * MINUTE_MS };
}

function flagList(names: readonly string[]): string {
  return names.map((name) => `--${name}`).join(", ");
}
