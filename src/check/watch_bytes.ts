import type { Socket } from "node:net";

/**
 * Tells how many bytes arrive on a socket that another reads, once that one has had them. It does not
 * start the flow: the first bytes are for whoever else listens for them.
 */
export function watchBytes(socket: Socket, onBytes: (count: number) => void): void {
  const begin = (event: string | symbol) => {
    if (event !== "data") return;
    socket.off("newListener", begin);
    queueMicrotask(() => socket.on("data", (bytes: Uint8Array) => onBytes(bytes.length)));
  };
  socket.on("newListener", begin);
}
