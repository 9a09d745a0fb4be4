/**
 * A way to the API server that a test shuts when the network is to fail.
 *
 * @module
 */
import { connect, createServer, type Server, type Socket } from "node:net";

/** A way to the API server, on a loopback port that stays the same. */
export class Door {
  readonly #to: number;
  readonly #through = new Set<Socket>();
  #server: Server | undefined;
  port = 0;

  private constructor(to: number) {
    this.#to = to;
  }

  static async open(to: number): Promise<Door> {
    const door = new Door(to);
    await door.open();
    return door;
  }

  async open(): Promise<void> {
    const server = createServer((near) => {
      const far = connect(this.#to, "127.0.0.1");
      near.pipe(far).pipe(near);
      for (const socket of [near, far]) {
        this.#through.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          for (const end of [near, far]) end.destroy();
          this.#through.delete(socket);
        });
      }
    });
    await new Promise<void>((resolve) => server.listen(this.port, "127.0.0.1", resolve));
    const address = server.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
    this.#server = server;
  }

  /** Cuts what goes through, and refuses what comes. */
  async shut(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve));
    for (const socket of this.#through) socket.destroy();
    await closed;
  }
}
