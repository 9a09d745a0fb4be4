/**
 * An EndpointSlice as the API has it, cut down to what is programmed.
 *
 * @module
 */
import {
  addressText,
  asObject,
  booleanIn,
  choiceIn,
  type Fields,
  familyOf,
  inField,
  integerIn,
  invalid,
  listIn,
  neededText,
  objectIn,
  type Problems,
  protocolIn,
  textIn,
  usableIn,
} from "./fields.ts";
import type { EndpointObject, SliceObject, SlicePortObject } from "./objects.ts";

/** Names the Service that a slice is for. */
const SERVICE_NAME = "kubernetes.io/service-name";
/** The slice of a headless service, which DNS serves and no proxy. */
const HEADLESS = "service.kubernetes.io/headless";
const TRIGGERED = "endpoints.kubernetes.io/last-change-trigger-time";

/**
 * Reads an EndpointSlice (discovery.k8s.io/v1). Undefined if it is none for us: without a Service, of a headless
 * one, or of names (FQDN) instead of addresses.
 *
 * @param problems is told of each endpoint and port that is left out because it cannot be read.
 * @throws TsnetError `invalid`, naming the field.
 */
export function parseSlice(raw: unknown, problems?: Problems): SliceObject | undefined {
  const object = asObject(raw);
  const metadata = objectIn(object, "metadata");
  const labels = inField("metadata", () => objectIn(metadata, "labels"));
  if (labels[HEADLESS] !== undefined) return undefined;
  const service = inField("metadata.labels", () => textIn(labels, SERVICE_NAME) ?? "");
  if (service === "") return undefined;
  const type = choiceIn(object, "addressType", ["IPv4", "IPv6", "FQDN"]);
  if (type === undefined) throw invalid("addressType", "is missing");
  if (type === "FQDN") return undefined;
  const family = type === "IPv4" ? 4 : 6;
  return {
    ...inField("metadata", () => ({
      namespace: textIn(metadata, "namespace") ?? "default",
      name: neededText(metadata, "name"),
      triggeredAt: triggerTime(objectIn(metadata, "annotations")),
    })),
    service,
    family,
    ports: usableIn(object, "ports", parsePort, problems),
    endpoints: usableIn(object, "endpoints", (value) => parseEndpoint(value, family), problems),
  };
}

/** A port without a number would mean all ports, which no Service can ask for. */
function parsePort(value: unknown): SlicePortObject | undefined {
  const fields = asObject(value);
  const port = integerIn(fields, "port", 0, 65535) ?? 0;
  if (port === 0) return undefined;
  return { name: textIn(fields, "name") ?? "", protocol: protocolIn(fields), port };
}

function parseEndpoint(value: unknown, family: 4 | 6): EndpointObject {
  const fields = asObject(value);
  const address = inField("addresses[0]", () => addressText(listIn(fields, "addresses")[0]));
  if (familyOf(address) !== family) {
    throw invalid("addresses[0]", `is no IPv${family} address: ${address}`);
  }
  const node = textIn(fields, "nodeName");
  const conditions = inField("conditions", () => conditionsOf(objectIn(fields, "conditions")));
  const hints = inField("hints", () => hintsOf(objectIn(fields, "hints")));
  const { ready, serving, terminating } = conditions;
  return { address, ready, serving, terminating, node, hintedNodes: hints.hintedNodes, hintedZones: hints.hintedZones };
}

/** Null means that nobody knows, which counts in the endpoint's favour. */
function conditionsOf(conditions: Fields): Pick<EndpointObject, "ready" | "serving" | "terminating"> {
  return {
    ready: booleanIn(conditions, "ready") ?? true,
    serving: booleanIn(conditions, "serving") ?? true,
    terminating: booleanIn(conditions, "terminating") ?? false,
  };
}

function hintsOf(hints: Fields): Pick<EndpointObject, "hintedNodes" | "hintedZones"> {
  return { hintedNodes: hintsIn(hints, "forNodes"), hintedZones: hintsIn(hints, "forZones") };
}

function hintsIn(hints: Fields, key: string): readonly string[] | undefined {
  const list = listIn(hints, key);
  return list.length === 0 ? undefined : list.map((value) => neededText(asObject(value), "name"));
}

/** RFC 3339 in ms; undefined if it is absent or cannot be read, which only costs a measurement. */
function triggerTime(annotations: Fields): number | undefined {
  const text = annotations[TRIGGERED];
  const time = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}
