import { close, pass, PeerServer } from "../backends/peers/peer_server.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { LabProcess } from "./lab_process.ts";

/**
 * Leads loopback ports of this process' network into another network, where an agent listens on them. Unix
 * sockets, which are the same in every network, lead from here to a process of this module in the other one.
 *
 * @param wrapper starts a process in the other network
 * @returns what closes the ways when it is disposed of
 */
export async function openDoors(
  wrapper: readonly string[],
  ports: readonly number[],
): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(await TempDirectory.create());
  const path = (port: number) => `${directory.path}/${port}`;
  const relay = new URL(import.meta.url).pathname;
  const [program = "", ...before] = [...wrapper, Deno.execPath()];
  const args = [...before, "run", "--allow-all", relay, ...ports.map(path)];
  const process = stack.use(new LabProcess(program, { args }));
  await process.stdout.waitFor("the relay", (line) => line === "listening" || undefined);
  for (const port of ports) {
    const address = { hostname: "127.0.0.1", port };
    stack.use(
      new PeerServer(async (connection) => {
        connection.setNoDelay();
        const onward = await Deno.connect({ transport: "unix", path: path(port) });
        const ways = [pass(connection, onward), pass(onward, connection)];
        // Nobody here closes one direction and reads on in the other.
        await Promise.race(ways).catch(() => {});
        close(connection);
        onward.close();
        await Promise.allSettled(ways);
      }, address),
    );
  }
  return stack.move();
}

/** Leads a connection from a Unix socket to a loopback port of this process' network. */
async function relay(connection: Deno.Conn, port: number): Promise<void> {
  const onward = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
  if (onward === undefined) return connection.close(); // nobody listens there
  onward.setNoDelay();
  await Promise.race([pass(connection, onward), pass(onward, connection)]).catch(() => {});
  connection.close();
  onward.close();
}

async function accept(listener: Deno.UnixListener, port: number): Promise<void> {
  for await (const connection of listener) void relay(connection, port);
}

if (import.meta.main) {
  for (const path of Deno.args) {
    const port = Number(path.slice(path.lastIndexOf("/") + 1)); // the file's name
    void accept(Deno.listen({ transport: "unix", path }), port);
  }
  console.log("listening");
}
