/**
 * Many questions asked at once from one place on a test host, of the servers that packets.ts starts: who answered.
 *
 *     bun asked.ts '[{"proto":"tcp","address":"10.88.1.2","port":80}]'    prints `["web"]`, `[""]` for no answer
 *
 * @module
 */
import { connect } from "node:net";
import type { Host } from "./host.ts";

const THIS_FILE = import.meta.filename;

/** Milliseconds after which nobody will answer any more. */
const DEADLINE_MS = 2000;
/** A UDP datagram and an echo request may be lost: milliseconds until another is sent. */
const AGAIN_MS = 400;

export interface Question {
  readonly proto: "tcp" | "udp" | "icmp";
  readonly address: string;
  /** Not of icmp. */
  readonly port?: number;
}

/** Asks all of them from a namespace ("" for the host itself); the names that answered, `echo` for icmp, "" for nobody. */
export async function askAll(host: Host, netns: string, questions: readonly Question[]): Promise<readonly string[]> {
  const argv = [process.execPath, THIS_FILE, JSON.stringify(questions)];
  const entered = netns === "" ? argv : ["ip", "netns", "exec", netns, ...argv];
  return JSON.parse(await host.ok(entered, { env: { BUN_BE_BUN: "1" } })) as readonly string[];
}

async function answer({ proto, address, port = 0 }: Question): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  setTimeout(() => resolve(""), DEADLINE_MS);
  if (proto === "tcp") askTcp(address, port, resolve);
  else if (proto === "udp") await askUdp(address, port, resolve);
  else askEcho(address, resolve);
  return promise;
}

function askTcp(host: string, port: number, resolve: (answer: string) => void): void {
  const socket = connect({ host, port });
  socket.on("error", () => resolve(""));
  socket.on("data", (data) => resolve(firstWord(data)));
}

async function askUdp(address: string, port: number, resolve: (answer: string) => void): Promise<void> {
  const socket = await Bun.udpSocket({
    hostname: address.includes(":") ? "::" : "0.0.0.0",
    socket: { data: (_, data) => resolve(firstWord(data)) },
  });
  const send = () => void socket.send("?", port, address);
  send();
  setInterval(send, AGAIN_MS);
}

function askEcho(address: string, resolve: (answer: string) => void): void {
  const args = ["-q", "-n", "-c", "1", "-i", `${AGAIN_MS / 1000}`, "-w", `${DEADLINE_MS / 1000}`, address];
  const ping = Bun.spawn(["ping", ...args], { stdio: ["ignore", "ignore", "ignore"] });
  void ping.exited.then((code) => resolve(code === 0 ? "echo" : ""));
}

function firstWord(data: Buffer | string): string {
  return data.toString().split(" ")[0] ?? "";
}

if (import.meta.main) {
  const questions = JSON.parse(process.argv[2] ?? "[]") as readonly Question[];
  process.stdout.write(JSON.stringify(await Promise.all(questions.map(answer))));
  process.exit(0);
}
