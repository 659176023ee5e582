import http2 from "node:http2";

/**
 * Keeps a GOAWAY from killing a process: the agent's own, and that of a backend.
 *
 * Deno 2.9.4 and later emit a session's `goaway` event while nghttp2 is still reading the frame. grpc-js
 * closes the session inside that event, which frees nghttp2's session under its feet: SIGSEGV or
 * SIGABRT, and no JavaScript handler sees it. Here each client session gets its `close` and `destroy`
 * put off to the next tick, when the frame has been read. grpc-js calls `http2.connect` as a property,
 * so replacing the property reaches it. To be called once, before the first connection.
 *
 * Deno's HTTP/2 servers have the same fault, and a health check must not kill a backend, so the agent
 * sends no GOAWAY of its own: it closes a connection on which no stream is open, which says the same.
 *
 * The fault: https://github.com/denoland/deno/issues/36788. This file can go when
 * tests/integration/goaway_test.ts passes without it on the pinned Deno; the last part when no supported
 * Deno has the fault.
 */
export function installGoawayGuard(): void {
  const connect = http2.connect;
  http2.connect = (...args: unknown[]) => {
    const session = Reflect.apply(connect, http2, args);
    putOffClosing(session);
    session.goaway = () => {};
    return session;
  };
}

/** Has a session's `close` and `destroy` wait for the next tick. */
export function putOffClosing(session: http2.Http2Session): void {
  const { close, destroy } = session;
  session.close = (closed?: () => void) => {
    // Of two closes in one tick the second does nothing, and would drop its callback.
    if (closed !== undefined) session.once("close", closed);
    process.nextTick(() => Reflect.apply(close, session, []));
  };
  session.destroy = (...args: unknown[]) => {
    process.nextTick(() => Reflect.apply(destroy, session, args));
  };
}
