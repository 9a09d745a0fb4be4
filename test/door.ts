/**
 * A way to a port of the machine's loopback, by a port that stays the same, which a test can shut.
 *
 * @module
 */
import { connect, createServer, type Server, type Socket } from "node:net";

export class Door {
  readonly #to: number;
  readonly #through = new Set<Socket>();
  #server: Server | undefined;
  port = 0;

  private constructor(to: number) {
    this.#to = to;
  }

  /** `address` is one of the loopback's, where it listens. */
  static async open(to: number, address = "127.0.0.1"): Promise<Door> {
    const door = new Door(to);
    await door.reopen(address);
    return door;
  }

  async reopen(address = "127.0.0.1"): Promise<void> {
    const server = createServer({ noDelay: true }, (near) => {
      const far = connect({ host: "127.0.0.1", port: this.#to, noDelay: true });
      near.pipe(far).pipe(near);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#through.add(one);
        one.on("error", () => other.destroy());
        one.on("close", () => {
          this.#through.delete(one);
          other.destroy();
        });
      }
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.port, address, resolve));
    const listening = server.address();
    if (listening === null || typeof listening === "string") throw new Error("the door listens nowhere");
    this.port = listening.port;
  }

  /** Nobody comes through any more, and who is through is thrown out. */
  shut(): void {
    this.#server?.close();
    for (const socket of this.#through) socket.destroy();
  }
}
