/**
 * The network config on standard input, with the keys that every plugin shares.
 *
 * Everything that it can get wrong ends in an error with a code, before a plugin has done anything.
 *
 * @module
 */
import { TsnetError } from "../errors.ts";
import { checkNetworkName } from "./names.ts";
import { emptyObject } from "./object.ts";
import { UNNAMED_VERSION } from "./supported.ts";
import type { CniDns, ConfigObject, NetConf, ValidAttachment } from "./types.ts";

/** The config's version; 0.1.0 if it names none. @throws TsnetError `decoding`. */
export function versionOf(raw: ConfigObject): string {
  return raw.string("cniVersion") || UNNAMED_VERSION;
}

/**
 * The shared keys. `prevResult` is not among them: `serve.ts` adds it where the verb has one.
 *
 * @throws TsnetError `invalid` for a missing or impossible name, `decoding` for wrong types.
 */
export function parseNetConf(raw: ConfigObject): NetConf {
  const name = raw.string("name") ?? "";
  checkNetworkName(name);
  const dns = raw.object("dns");
  const valid = raw.objects("cni.dev/valid-attachments")?.map(parseAttachment);
  return {
    cniVersion: versionOf(raw),
    name,
    type: raw.string("type") ?? "",
    raw,
    runtimeConfig: raw.object("runtimeConfig") ?? emptyObject("runtimeConfig"),
    args: raw.object("args") ?? emptyObject("args"),
    ...(dns === undefined ? {} : { dns: parseDns(dns) }),
    ...(valid === undefined ? {} : { validAttachments: valid }),
  };
}

/** The `dns` object of a config or a result; only the fields that are there. */
export function parseDns(dns: ConfigObject): CniDns {
  const nameservers = dns.strings("nameservers");
  const domain = dns.string("domain");
  const search = dns.strings("search");
  const options = dns.strings("options");
  return {
    ...(nameservers === undefined ? {} : { nameservers }),
    ...(domain === undefined ? {} : { domain }),
    ...(search === undefined ? {} : { search }),
    ...(options === undefined ? {} : { options }),
  };
}

/** One that names no interface would have GC take a living container's: refused rather than guessed at. */
function parseAttachment(attachment: ConfigObject): ValidAttachment {
  const containerID = attachment.string("containerID");
  const ifname = attachment.string("ifname");
  if (!containerID || !ifname) {
    throw new TsnetError(`${attachment.at} needs containerID and ifname`, { code: "invalid", op: "read config" });
  }
  return { containerID, ifname };
}
