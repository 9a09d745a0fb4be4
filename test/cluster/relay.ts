/**
 * A door from the machine into a namespace of a test host: listens on a free port of the machine's loopback and
 * connects from within the namespace. It ends with its standard input.
 *
 *     bun relay.ts /proc/PID/root/run/netns/NAME ADDRESS PORT     prints the port that it listens on
 *
 * The listening socket stays in the namespace that it was opened in, so the process may leave that one after.
 *
 * @module
 */
import { connect, createServer } from "node:net";
import { CLONE_NEWNET, setns } from "../../lib/sys/native.ts";
import { openNetns } from "../../lib/sys/netns.ts";

if (import.meta.main) await relay(process.argv.slice(2));

async function relay([path = "", host = "", port = ""]: readonly string[]): Promise<void> {
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host, port: Number(port), noDelay: true });
    near.pipe(far).pipe(near);
    near.on("error", () => far.destroy());
    far.on("error", () => near.destroy());
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  setns(openNetns(path).fd, CLONE_NEWNET);
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the relay listens nowhere");
  console.log(address.port);
  process.stdin.on("end", () => process.exit(0)).resume();
}
