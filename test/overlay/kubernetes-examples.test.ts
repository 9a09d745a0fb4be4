import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { rewrite } from "../../cli/overlay.ts";
import { fieldsOf, listOf } from "../../lib/kube/fields.ts";
import { formatCidr } from "../../lib/net/cidr.ts";
import { settingsFrom } from "../../overlay/config/flags.ts";
import { parseNetworkConfig } from "../../overlay/config/network.ts";

function documents(name: string): readonly unknown[] {
  const text = readFileSync(`examples/overlay/kubernetes/${name}`, "utf8");
  return parseAllDocuments(text).map((document) => document.toJS());
}

function pod() {
  const [daemonSet] = documents("daemonset.yaml");
  const spec = fieldsOf(fieldsOf(fieldsOf(fieldsOf(daemonSet).spec).template).spec);
  return { spec, container: fieldsOf(listOf(spec.containers)[0]), init: fieldsOf(listOf(spec.initContainers)[0]) };
}

function settings() {
  const [program, command, ...flags] = listOf(pod().container.command).map(String);
  expect([program, command]).toEqual(["/usr/local/bin/tsnet", "overlay"]);
  const given: Record<string, readonly string[]> = {};
  for (const flag of rewrite(flags)) {
    const [, name = "", value = "true"] = /^--([^=]+)(?:=(.*))?$/.exec(flag) ?? [];
    given[name] = [value];
  }
  const warnings: string[] = [];
  const surroundings = { environment: { NODE_NAME: "node-1" }, hostname: () => "pod" };
  const asked = settingsFrom(given, (text) => warnings.push(text), surroundings);
  expect(warnings).toEqual([]);
  return asked.settings;
}

test("the ConfigMap's network is read, with nothing to warn of", () => {
  const [configMap] = documents("configmap.yaml");
  const warnings: string[] = [];
  const warn = (text: string) => warnings.push(text);
  const text = fieldsOf(fieldsOf(configMap).data)["net-conf.json"];
  const config = parseNetworkConfig(text, "net-conf.json", { assigned: true, warn });
  expect(warnings).toEqual([]);
  expect(config.networks[4] && formatCidr(config.networks[4])).toBe("10.244.0.0/16");
  expect(config.backend).toMatchObject({ type: "vxlan", vni: 1 });
});

test("the DaemonSet's command line is understood, and its probes ask where the agent answers", () => {
  expect(settings()).toMatchObject({
    source: { kind: "kube", kubeconfig: "", master: "", netConfPath: "/etc/tsnet/overlay/net-conf.json" },
    nodeName: "node-1",
    healthzAddress: "127.0.0.1:10270",
  });
  const { container } = pod();
  for (const [probe, path] of [
    ["livenessProbe", "/healthz"],
    ["readinessProbe", "/readyz"],
  ] as const) {
    expect(fieldsOf(container[probe]).httpGet).toEqual({ host: "127.0.0.1", path, port: 10270 });
  }
});

test("the DaemonSet mounts from the node all that the agent shares with plugins and with the agent after it", () => {
  const { spec, container } = pod();
  const { subnetFile, stateDir, dataDir, conflist } = settings();
  const hostPaths = new Map(
    listOf(spec.volumes)
      .map(fieldsOf)
      .map(({ name, hostPath }) => [name, fieldsOf(hostPath).path]),
  );
  const mounts = listOf(container.volumeMounts).map(fieldsOf);
  for (const path of [subnetFile, `${stateDir}/x`, `${dataDir}/x`, conflist.path, "/var/lib/cni/networks/x"]) {
    const mount = mounts.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
    expect([path, mount && hostPaths.get(mount.name)]).toEqual([path, mount?.mountPath]);
  }
});

test("the DaemonSet's pod runs as the account that has the rights", () => {
  const account = documents("rbac.yaml")
    .map(fieldsOf)
    .find(({ kind }) => kind === "ServiceAccount");
  const [daemonSet] = documents("daemonset.yaml");
  expect(pod().spec.serviceAccountName).toBe(fieldsOf(account?.metadata).name);
  expect(fieldsOf(fieldsOf(daemonSet).metadata).namespace).toBe(fieldsOf(account?.metadata).namespace);
});
