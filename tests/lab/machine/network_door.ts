import { close, PeerServer, send } from "../backends/peers/peer_server.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { LabProcess, ROOT } from "./lab_process.ts";

/**
 * Leads loopback ports of this process' network into another network, where an agent listens on them.
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
  const relay = `${ROOT}tests/lab/machine/network_door_relay.ts`;
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

async function pass(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(16_384);
  for (let count; (count = await from.read(buffer)) !== null;) {
    await send(to, buffer.subarray(0, count));
  }
}
