/**
 * Who reaches whom, and as whom, at a fraction of a millisecond a question: the test's end of a prober-agent.ts that
 * has sockets in all namespaces of a world.
 *
 *     await prober.ask(netns, { protocol: "tcp", address: "10.96.0.1", port: 80 })
 *       { outcome: "answered", server: "local1", source: "10.244.1.12", … } or { outcome: "refused" }
 *
 * @module
 */
import type { Subprocess } from "bun";
import type { Host } from "../host.ts";
import type { Ports, Request } from "./prober-agent.ts";
import type { Ask } from "./prober-asks.ts";
import type { Peer } from "./prober-sockets.ts";

/** How long somebody who ought to answer may take, on a machine that is busy with other tests. */
const ANSWER_TIMEOUT_MS = 5000;

export interface Question {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly address: string;
  readonly port: number;
  readonly sourceAddress?: string;
  readonly sourcePort?: number;
  /** After which a question is `dropped`. */
  readonly timeoutMs?: number;
}

export type Answer =
  | {
      readonly outcome: "answered";
      /** Name of the server. */
      readonly server: string;
      /** The client's address as the server sees it. */
      readonly source: string;
      readonly sourcePort: number;
      /** The server's own address that was reached (TCP alone). */
      readonly at: string;
      readonly atPort: number;
    }
  /**
   * `refused`: by RST, or by ICMP port unreachable; `unreachable`: by ICMP; `dropped`: nothing came; `reset`: later;
   * else an errno's name.
   */
  | { readonly outcome: string };

/** An open connection, or a UDP socket with its fixed port. */
export interface Connection extends AsyncDisposable {
  readonly answer: Answer;
  /** Sends `text`; what came back: `text` over TCP, else the server's answer, else an outcome. */
  say(text: string, timeoutMs?: number): Promise<string>;
  shut(): Promise<void>;
}

interface Reply {
  readonly id: number;
  readonly error?: string;
  readonly answer?: string;
  readonly answers?: readonly string[];
  readonly connection?: number;
  readonly flood?: number;
  readonly sent?: number;
}

export class Prober {
  readonly #agent: Subprocess<"pipe", "pipe", "inherit">;
  readonly #waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>();
  #next = 1;

  private constructor(agent: Subprocess<"pipe", "pipe", "inherit">) {
    this.#agent = agent;
    void this.#read();
  }

  static async start(host: Host): Promise<Prober> {
    const argv = host.enter([process.execPath, `${import.meta.dirname}/prober-agent.ts`]);
    // vitest under Bun: its own executable is the runtime to start, and no test variable must reach the child.
    const env = { PATH: process.env.PATH ?? "", BUN_BE_BUN: "1" };
    const prober = new Prober(Bun.spawn(argv, { stdio: ["pipe", "pipe", "inherit"], env }));
    await prober.#request({ op: "ask", asks: [], count: 0, concurrency: 0 });
    return prober;
  }

  /** Serves in a namespace, both families. */
  async serve(netns: string, name: string, ports: Ports): Promise<void> {
    await this.#request({ op: "serve", netns, name, ...ports });
  }

  async ask(netns: string, question: Question): Promise<Answer> {
    const [answer] = await this.askAll([{ netns, ...question }]);
    return answer ?? { outcome: "not asked" };
  }

  /** The same `count` times. */
  askOften(netns: string, question: Question, count: number): Promise<readonly Answer[]> {
    return this.askAll([{ netns, ...question }], count);
  }

  /** All of `questions`, in turns, `count` times over: the answers are in that order. */
  async askAll(
    questions: readonly (Question & { readonly netns: string })[],
    count = 1,
    concurrency = 100,
  ): Promise<readonly Answer[]> {
    const asks = questions.map((question) => withTimeout(question.netns, question));
    const { answers = [] } = await this.#request({ op: "ask", asks, count, concurrency });
    return answers.map(parseAnswer);
  }

  /** Asks until somebody answers; the last answer, if nobody does for `forMs`. */
  async askUntilAnswered(netns: string, question: Question, forMs = 10_000): Promise<Answer> {
    const ask = withTimeout(netns, { timeoutMs: 100, ...question });
    const { answer = "" } = await this.#request({ op: "until", ask, forMs });
    return parseAnswer(answer);
  }

  async open(netns: string, question: Question): Promise<Connection> {
    const { answer = "", connection } = await this.#request({ op: "open", ask: withTimeout(netns, question) });
    const shut = async () => {
      if (connection !== undefined) await this.#request({ op: "shut", connection });
    };
    return {
      answer: parseAnswer(answer),
      say: async (text, timeoutMs = ANSWER_TIMEOUT_MS) => {
        if (connection === undefined) return answer;
        return (await this.#request({ op: "say", connection, text, timeoutMs })).answer ?? "";
      },
      shut,
      [Symbol.asyncDispose]: shut,
    };
  }

  /** New flows to all of `questions` as fast as it goes, until the function that it returns is called: how many. */
  async flood(netns: string, questions: readonly Question[]): Promise<() => Promise<number>> {
    const asks = questions.map((question) => withTimeout(netns, question));
    const { flood = 0 } = await this.#request({ op: "flood", asks });
    return async () => (await this.#request({ op: "stop", flood })).sent ?? 0;
  }

  /** Sends a TCP acknowledgement with a sequence number of its own. */
  async stray(netns: string, from: Peer, to: Peer, sequence: number): Promise<void> {
    await this.#request({ op: "stray", netns, from, to, sequence });
  }

  async stop(): Promise<void> {
    this.#agent.stdin.end();
    await this.#agent.exited;
  }

  #request(request: Request): Promise<Reply> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#agent.stdin.write(`${JSON.stringify({ id, request })}\n`);
      this.#agent.stdin.flush();
    });
  }

  async #read(): Promise<void> {
    let pending = "";
    const decoder = new TextDecoder();
    for await (const bytes of this.#agent.stdout) {
      const lines = (pending + decoder.decode(bytes, { stream: true })).split("\n");
      pending = lines.pop() ?? "";
      for (const line of lines) this.#settle(JSON.parse(line));
    }
    for (const { reject } of this.#waiting.values()) reject(new Error("the prober's agent has ended"));
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (reply.error === undefined) waiting?.resolve(reply);
    else waiting?.reject(new Error(reply.error));
  }
}

function withTimeout(netns: string, question: Question): Ask {
  return { timeoutMs: ANSWER_TIMEOUT_MS, ...question, netns };
}

function parseAnswer(line: string): Answer {
  const [server = "", source, port, at = "", atPort] = line.split(" ");
  if (source === undefined) return { outcome: server };
  return { outcome: "answered", server, source, sourcePort: Number(port), at, atPort: Number(atPort) };
}

/** `local1 as 10.244.1.12`, or the outcome. */
export function shortly(answer: Answer): string {
  return "server" in answer ? `${answer.server} as ${answer.source}` : answer.outcome;
}

/** Who answered, or the outcome. */
export function serverOf(answer: Answer): string {
  return "server" in answer ? answer.server : answer.outcome;
}

/** How often each thing was answered. */
export function tally(answers: readonly Answer[], key: (answer: Answer) => string = shortly): Map<string, number> {
  const counts = new Map<string, number>();
  for (const answer of answers) counts.set(key(answer), (counts.get(key(answer)) ?? 0) + 1);
  return counts;
}
