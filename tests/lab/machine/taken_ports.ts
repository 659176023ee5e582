import { ROOT } from "../testing/repository.ts";
import { LabProcess } from "./lab_process.ts";

/**
 * Shell commands for a network of a test's own: a hundred local ports for each address, none of which comes
 * back sooner than TCP has it (60 s) when its connection was closed in order.
 */
export const FEW_PORTS = [
  "echo 20000 20099 >/proc/sys/net/ipv4/ip_local_port_range",
  "echo 0 >/proc/sys/net/ipv4/tcp_tw_reuse",
].join(" && ");

/**
 * Takes every local port towards some addresses.
 *
 * @param wrapper starts a process in the network
 * @param addresses such as `127.0.0.1:50051`; somebody listens there
 * @returns what frees them at once when it is disposed of
 */
export async function takePorts(
  wrapper: readonly string[],
  addresses: readonly string[],
): Promise<AsyncDisposable> {
  const [program = "", ...before] = wrapper;
  const places = addresses.flatMap((address) => {
    const colon = address.lastIndexOf(":");
    return [address.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), address.slice(colon + 1)];
  });
  const args = [...before, "python3", `${ROOT}tests/lab/machine/take_ports.py`, ...places];
  await using stack = new AsyncDisposableStack();
  const process = stack.use(new LabProcess(program, { args }));
  await process.stdout.waitFor("all ports to be taken", (line) => line === "taken" || undefined);
  return stack.move();
}
