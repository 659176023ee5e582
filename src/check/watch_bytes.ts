import type { Socket } from "node:net";

/**
 * Tells how many bytes come from a socket that another reads, after that one has had them. It does not
 * begin to read: the first bytes are for whoever else listens for them.
 */
export function watchBytes(socket: Socket, onBytes: (count: number) => void): void {
  const begin = (event: string | symbol) => {
    if (event !== "data") return;
    socket.off("newListener", begin);
    queueMicrotask(() => socket.on("data", (bytes: Uint8Array) => onBytes(bytes.length)));
  };
  socket.on("newListener", begin);
}
