/**
 * `npm run demo`: the hello example, brought up and proved by a page that holds a token of this run, fetched through
 * the published port and from one container to the other. It stays up for the user to look around.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { execa } from "execa";
import { messageOf } from "../lib/errors.ts";
import { run } from "../lib/sys/run.ts";

const TSNET = "dist/tsnet";
const FILE = "examples/hello/tsnet.yaml";
const PAGE = "token.html";

/** A server that has just been started may not listen yet. */
const PATIENCE_MS = 5_000;

interface Container {
  readonly name: string;
  readonly interfaces: readonly { readonly addresses: readonly string[] }[];
  readonly ports: readonly string[];
}

await up();
const token = makePage();
const web = await container("web");
const good = [
  await shows("from this machine, through the published port", [], `127.0.0.1:${hostPort(web)}`),
  await shows("from the container shell to the container web", [TSNET, "exec", "shell"], address(web)),
];
if (good.every(Boolean)) sayWhatNext();
else process.exitCode = 1;

async function up(): Promise<void> {
  console.log(`\n$ ${TSNET} up -f ${FILE}`);
  const { exitCode } = await execa(TSNET, ["up", "-f", FILE], { stdio: "inherit", reject: false });
  if (exitCode !== 0) process.exit(1);
}

/** The folder www is mounted in web, which sees the new file at once. */
function makePage(): string {
  const made = randomUUID();
  writeFileSync(`examples/hello/www/${PAGE}`, `<!doctype html><title>hello</title><p>${made}</p>\n`);
  console.log(`\nweb now serves ${PAGE} with a token of this run, ${made}`);
  return made;
}

async function container(name: string): Promise<Container | undefined> {
  const { stdout } = await execa(TSNET, ["ps", "-f", FILE, "-o", "json"]);
  const all: readonly Container[] = JSON.parse(stdout);
  return all.find((one) => one.name === name);
}

function hostPort(one: Container | undefined): string {
  return one?.ports[0]?.split("->")[0] ?? "";
}

function address(one: Container | undefined): string {
  return one?.interfaces[0]?.addresses[0]?.split("/")[0] ?? "";
}

/** Fetches the page with `prefix` before the command, prints how that went, and returns whether the token came. */
async function shows(way: string, prefix: readonly string[], host: string): Promise<boolean> {
  const url = `http://${host}/${PAGE}`;
  const [program = "", ...args] = [...prefix, "busybox", "wget", "-q", "-Y", "off", "-O", "-", url];
  const deadline = performance.now() + PATIENCE_MS;
  let answer = await attempt(program, args);
  while (!answer.includes(token) && performance.now() < deadline) {
    await Bun.sleep(100);
    answer = await attempt(program, args);
  }
  const good = answer.includes(token);
  console.log(good ? `  ok      ${way}: ${url}` : `  FAILED  ${way}: ${url}\n          ${answer}`);
  return good;
}

/** What the program wrote; where that is nothing, how it ended. */
async function attempt(program: string, args: readonly string[]): Promise<string> {
  try {
    const { exitCode, stdout, stderr } = await run(program, args, { timeoutMs: PATIENCE_MS });
    return (stdout || stderr).trim() || `it ended with ${exitCode} and wrote nothing`;
  } catch (error) {
    return messageOf(error);
  }
}

function sayWhatNext(): void {
  console.log(`
Look around, as root:
  ${TSNET} ps
  ${TSNET} inspect web
  ${TSNET} logs web
  ${TSNET} exec shell sh
  curl http://127.0.0.1:${hostPort(web)}/

Take it down:
  ${TSNET} down -f ${FILE}`);
}
