/**
 * The source that the settings name; the code of that one alone is loaded.
 *
 * @module
 */
import type { Clock } from "../../lib/daemon/clock.ts";
import type { Log } from "../../lib/daemon/log.ts";
import type { OverlaySettings } from "../settings.ts";
import type { Source } from "./source.ts";

/** @throws TsnetError for settings that no source can begin with. */
export async function openSource(
  settings: OverlaySettings,
  options: { readonly log: Log; readonly clock: Clock },
): Promise<Source> {
  const { source, nodeName, replaceLease } = settings;
  switch (source.kind) {
    case "static":
      return (await import("./static.ts")).staticSource({ ...source, nodeName }, options);
    case "etcd":
      return (await import("./etcd.ts")).etcdSource({ ...source, replaceLease }, options);
    case "kube":
      return (await import("./kube.ts")).kubeSource({ ...source, nodeName }, options);
  }
}
