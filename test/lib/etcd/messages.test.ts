/** The bundle's codec of etcd's messages, against protobufjs with the options that etcd3 gives it. */
import { createRequire } from "node:module";
import { expect, test } from "vitest";
import { Codec, type Message } from "../../../scripts/etcd-messages.ts";
import { readProtocol } from "../../../scripts/etcd-proto.ts";

interface Type {
  fromObject(value: object): object;
  toObject(message: object, options: object): Message;
  encode(message: object): { finish(): Uint8Array };
  decode(bytes: Uint8Array): object;
}
interface Protobuf {
  readonly Root: new () => { loadSync(path: string, options: object): { lookupType(name: string): Type } };
}

const etcd3 = createRequire(import.meta.url).resolve("etcd3");
const importer = createRequire(etcd3).resolve("@grpc/proto-loader");
const path = etcd3.replace(/lib\/index\.js$/, "proto/rpc.proto");
const protobuf: Protobuf = createRequire(importer)("protobufjs");
const root = new protobuf.Root().loadSync(path, { keepCase: true });
const codec = new Codec(readProtocol(path, importer).messages);
const OPTIONS = { longs: String, enums: String, defaults: true, oneofs: true };

const kv = {
  key: Buffer.from("/a"),
  value: Buffer.from("ä".repeat(100)),
  mod_revision: "7",
  lease: "7587869532894123777",
};
const header = { cluster_id: "17237436991929493444", revision: "72057594037927935" };

const messages: readonly (readonly [name: string, message: Message])[] = [
  ["etcdserverpb.RangeRequest", {}],
  [
    "etcdserverpb.RangeRequest",
    { key: Buffer.from("a"), range_end: Buffer.from("b"), keys_only: true, sort_order: "Descend" },
  ],
  [
    "etcdserverpb.TxnRequest",
    {
      compare: [
        { key: Buffer.from("k"), target: 0, result: 0, version: 0 },
        { key: Buffer.from("k"), target: "Mod", result: "Less", mod_revision: 9007199254740993n },
      ],
      success: [
        { request_range: { key: Buffer.from("k") } },
        { request_put: { key: Buffer.from("k"), value: Buffer.alloc(300, 1), lease: "-1" } },
        { request_delete_range: { key: Buffer.from("k") } },
      ],
    },
  ],
  [
    "etcdserverpb.TxnResponse",
    {
      header,
      succeeded: true,
      responses: [{ response_range: { header, kvs: [kv, kv], count: 2 } }, { response_put: {} }],
    },
  ],
  ["etcdserverpb.WatchRequest", { create_request: { start_revision: "8", filters: ["Nodelete", "Noput"] } }],
  [
    "etcdserverpb.WatchResponse",
    {
      watch_id: -1,
      cancel_reason: "später",
      events: [
        { type: "Delete", kv },
        { kv, prev_kv: kv },
      ],
    },
  ],
  ["etcdserverpb.LeaseTimeToLiveResponse", { ID: "-9223372036854775808", keys: [Buffer.from("a"), Buffer.alloc(0)] }],
];

test.each(messages)(
  "%s is read as protobufjs reads it, and what is written as protobufjs would be",
  (name, message) => {
    const type = root.lookupType(name);
    const plain = Object.fromEntries(Object.entries(message));
    const theirs = Buffer.from(type.encode(type.fromObject(JSON.parse(JSON.stringify(plain, textual)))).finish());
    expect(codec.decode(name, theirs)).toEqual(type.toObject(type.decode(theirs), OPTIONS));
    expect(type.toObject(type.decode(codec.encode(name, message)), OPTIONS)).toEqual(codec.decode(name, theirs));
  },
);

test("a field of tomorrow's etcd is passed over, whatever its wire type", () => {
  const unknown = Buffer.from([
    0xa0,
    0x06,
    0x80,
    0x01,
    0xa1,
    0x06,
    ...Buffer.alloc(8),
    0xa2,
    0x06,
    1,
    0,
    0xa5,
    0x06,
    0,
    0,
    0,
    0,
  ]);
  const known = codec.encode("etcdserverpb.LeaseGrantResponse", { ID: "5" });
  const read = codec.decode("etcdserverpb.LeaseGrantResponse", Buffer.concat([unknown, known]));
  expect(read).toEqual({ header: null, ID: "5", TTL: "0", error: "" });
});

test("a message that is cut short is an error", () => {
  const whole = codec.encode("etcdserverpb.PutRequest", { key: Buffer.from("key") });
  expect(() => codec.decode("etcdserverpb.PutRequest", whole.subarray(0, -1))).toThrow("ends too early");
});

/** As protobufjs takes it from JSON: bytes in base64, large numbers as text. */
function textual(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  const bytes = typeof value === "object" && value !== null && "type" in value && value.type === "Buffer";
  return bytes && "data" in value && Array.isArray(value.data) ? Buffer.from(value.data).toString("base64") : value;
}
