/**
 * A DNS client and a DNS server, both run inside a namespace of a test host.
 *
 *     bun dns.ts serve ADDRESS LABEL           UDP and TCP; every A is answered with 192.0.2.LABEL, `big.*` TXT with 2 kB,
 *                                              `none.*` and `*.lan.example` with NXDOMAIN; prints `ready` and its pid, then a line for each question
 *     bun dns.ts ask NAME TYPE [tcp|udp] [EDNS-BYTES] [SERVER]   prints what came back as JSON, or fails
 *     bun dns.ts crowd NUMBER SERVER           opens so many connections, prints how many stay open and its pid, and holds them
 *
 * @module
 */
import { connect, createServer } from "node:net";
import { decode, encode, type Packet, streamDecode, streamEncode, TRUNCATED_RESPONSE } from "dns-packet";
import type { Host } from "./host.ts";

const THIS_FILE = import.meta.filename;
const TIMEOUT_MS = 6000;
const ASK_BUN: Readonly<Record<string, string>> = { BUN_BE_BUN: "1" };

/** What came back. */
export interface Reply {
  readonly rcode: number;
  readonly flag_aa: boolean;
  readonly flag_tc: boolean;
  readonly data: readonly string[];
  readonly edns: number | undefined;
}

export interface AskOptions {
  readonly by?: "udp" | "tcp";
  /** Bytes that we take by EDNS. */
  readonly edns?: number;
  /** Whom to ask; a container's resolver without it. */
  readonly server?: string;
}

/** Asks from a namespace ("" for the host itself); undefined if nothing came back. */
export async function resolve(
  host: Host,
  netns: string,
  name: string,
  type: string,
  { by = "udp", edns = 0, server = "127.0.0.11" }: AskOptions = {},
): Promise<Reply | undefined> {
  const argv = inside(netns, ["ask", name, type, by, String(edns), server]);
  const { exitCode, stdout } = await host.run(argv, { env: ASK_BUN });
  return exitCode === 0 ? (JSON.parse(stdout) as Reply) : undefined;
}

/** Starts a server in a namespace ("" for the host itself) and waits until it listens; gives the questions so far. */
export async function serveNames(
  host: Host,
  netns: string,
  address: string,
  label: number,
): Promise<{ readonly asked: () => readonly string[]; readonly kill: () => Promise<void> }> {
  const child = host.spawn(inside(netns, ["serve", address, String(label)]), { env: ASK_BUN });
  const lines: string[] = [];
  const reader = child.stdout.getReader();
  const first = await reader.read();
  if (first.done) throw new Error(`no DNS server on ${address}: ${await new Response(child.stderr).text()}`);
  void (async () => {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      lines.push(...new TextDecoder().decode(part.value).trim().split("\n"));
    }
  })();
  return { asked: () => lines, kill: () => killed(host, first.value) };
}

/** Opens connections from a namespace and holds them until it is killed; how many were let stay. */
export async function crowd(
  host: Host,
  netns: string,
  number: number,
): Promise<{ readonly open: number; readonly kill: () => Promise<void> }> {
  const child = host.spawn(inside(netns, ["crowd", String(number), "127.0.0.11"]), { env: ASK_BUN });
  const first = await child.stdout.getReader().read();
  return {
    open: Number.parseInt(new TextDecoder().decode(first.value), 10),
    kill: () => killed(host, first.value),
  };
}

/** By the number that it has on the host: what started it there is another process. */
async function killed(host: Host, line: Uint8Array | undefined): Promise<void> {
  const [, pid = ""] = new TextDecoder().decode(line).trim().split(" ");
  await host.ok(["kill", "-9", pid]);
}

function inside(netns: string, args: readonly string[]): readonly string[] {
  const argv = [process.execPath, THIS_FILE, ...args];
  return netns === "" ? argv : ["ip", "netns", "exec", netns, ...argv];
}

async function main([verb, ...rest]: readonly string[]): Promise<void> {
  if (verb === "serve") await serve(rest[0] ?? "", rest[1] ?? "");
  else if (verb === "crowd") await gather(Number(rest[0]), rest[1] ?? "");
  else await ask(rest);
}

async function gather(number: number, server: string): Promise<void> {
  const sockets = Array.from({ length: number }, () => connect({ host: server, port: 53 }));
  for (const socket of sockets) socket.on("error", () => {});
  await Bun.sleep(500);
  console.log(sockets.filter((socket) => !socket.destroyed && socket.readyState === "open").length, process.pid);
  await Bun.sleep(60_000);
}

async function serve(address: string, label: string): Promise<void> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => socket.write(streamEncode(answerTo(streamDecode(Buffer.from(data)), "tcp", label))));
  });
  await new Promise<void>((done) => server.listen(53, address, done));
  await Bun.udpSocket({
    hostname: address,
    port: 53,
    socket: {
      data: (socket, data, port, from) => void socket.send(encode(answerTo(decode(data), "udp", label)), port, from),
    },
  });
  console.log(`ready ${process.pid}`);
}

function answerTo({ id, questions = [] }: Packet, by: string, label: string): Packet {
  const [question] = questions;
  const name = question?.name ?? "";
  console.log(`${by} ${name} ${question?.type}`);
  const base = { type: "response", questions, ...(id === undefined ? {} : { id }) } as const;
  if (name.startsWith("none.") || name.endsWith(".lan.example")) return { ...base, flags: 3 };
  if (name.startsWith("big.") && by === "udp") return { ...base, flags: TRUNCATED_RESPONSE };
  if (name.startsWith("big.")) {
    return { ...base, answers: Array.from({ length: 10 }, () => ({ name, type: "TXT", data: "x".repeat(200) })) };
  }
  return { ...base, answers: question?.type === "A" ? [{ name, type: "A", ttl: 60, data: `192.0.2.${label}` }] : [] };
}

async function ask([name = "", type = "", by = "udp", edns = "0", server = ""]: readonly string[]): Promise<void> {
  setTimeout(() => process.exit(1), TIMEOUT_MS);
  const opt = { type: "OPT", name: ".", udpPayloadSize: Number(edns), extendedRcode: 0, ednsVersion: 0, flags: 0 };
  const query = {
    id: Math.floor(Math.random() * 65_536),
    flags: 0x100,
    questions: [{ name, type, class: "IN" }],
    additionals: edns === "0" ? [] : [{ ...opt, options: [] }],
  } as unknown as Packet;
  if (by === "tcp") {
    let bytes = Buffer.alloc(0);
    const socket = connect({ host: server, port: 53 }, () => void socket.write(streamEncode(query)));
    socket.on("error", () => process.exit(1));
    socket.on("data", (data) => {
      bytes = Buffer.concat([bytes, Buffer.from(data)]);
      if (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE()) print(streamDecode(bytes), query);
    });
    return;
  }
  const socket = await Bun.udpSocket({
    connect: { hostname: server, port: 53 },
    socket: { data: (_, data) => print(decode(data), query), error: () => process.exit(1) },
  });
  socket.send(encode(query));
}

function print(packet: Packet, query: Packet): void {
  if (packet.id !== query.id) process.exit(2);
  const opt = packet.additionals?.find((record) => record.type === "OPT");
  const reply = {
    rcode: (packet.flags ?? 0) & 0xf,
    flag_aa: ((packet.flags ?? 0) & 0x400) !== 0,
    flag_tc: ((packet.flags ?? 0) & 0x200) !== 0,
    data: packet.answers?.map((record) => ("data" in record ? String(record.data) : "")) ?? [],
    ...(opt?.type === "OPT" ? { edns: opt.udpPayloadSize } : {}),
  };
  process.stdout.write(JSON.stringify(reply), () => process.exit(0));
}

if (import.meta.main) await main(process.argv.slice(2));
