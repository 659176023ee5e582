import { connect } from "node:net";
import { within } from "../testing/eventually.ts";

/** How {@linkcode askFrom} connects. */
export interface AskFromOptions {
  /** The agent's address. @default {"127.0.0.1"} */
  to?: string;
  port: number;
  line: string;
}

/**
 * Asks the agent from an address of the loopback network.
 *
 * @param from the client's own address
 * @returns the answer with its line end; "" when the agent closed or reset without a byte
 */
export async function askFrom(
  from: string,
  { to = "127.0.0.1", port, line }: AskFromOptions,
): Promise<string> {
  const socket = connect({ host: to, port, localAddress: from });
  const { promise, resolve } = Promise.withResolvers<void>();
  let received = "";
  socket.setEncoding("utf8");
  socket.on("data", (text) => {
    received += text;
    if (received.includes("\n")) resolve();
  });
  socket.on("error", () => {}); // a reset; "close" follows
  socket.on("close", () => resolve());
  socket.write(line);
  try {
    await within("an answer or a close", 10_000, promise);
    return received;
  } finally {
    socket.destroy();
  }
}
