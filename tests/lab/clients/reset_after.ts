import { connect } from "node:net";
import { eventually } from "../testing/eventually.ts";

/**
 * Sends something to the agent and resets the connection (RST), as HAProxy does after each reply and at its
 * timeout.
 *
 * @param condition when to reset
 */
export async function resetAfter(
  port: number,
  text: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {});
  await new Promise<void>((resolve) => socket.write(text, () => resolve()));
  await eventually("the moment to reset", condition);
  socket.resetAndDestroy();
  await closed;
}
