import type { Socket } from "node:net";

/**
 * Makes what is written to a socket in one tick leave in one system call. Deno's `node:http2` writes each
 * frame by itself, so an RPC would be two (HEADERS, DATA), each of which wakes the backend up; RPCs that
 * begin together become one.
 *
 * This file can go when Deno gathers frames itself: `handle.sendPending` in ext/node/polyfills/http2.ts.
 */
export function gatherWrites(socket: Socket): void {
  const { write } = socket;
  let gathering = false;
  socket.write = (...args: unknown[]) => {
    if (!gathering) {
      gathering = true;
      socket.cork();
      process.nextTick(() => {
        gathering = false;
        socket.uncork();
      });
    }
    return Reflect.apply(write, socket, args);
  };
}
