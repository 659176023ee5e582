/**
 * Makes calls to a server that says GOAWAY, and closes the session where grpc-js does: inside the event.
 * Arguments: the server's port, and "guarded" for src/grpc_js/workarounds.ts. Ends with 0 where Deno lives on.
 */

import http2 from "node:http2";
import { installGoawayGuard } from "../../../src/grpc_js/workarounds.ts";

const [port, guarded] = Deno.args;
const CALLS = 3000;
/** A call on a session that has gone away meanwhile may never end, in milliseconds. */
const PATIENCE_MS = 200;

if (guarded === "guarded") installGoawayGuard();
let session = connect();
for (let nth = 1; nth <= CALLS; nth++) {
  await call();
  // The GOAWAY should meet an idle connection as well as one that is used again at once.
  if (nth % 2 === 0) await new Promise((resolve) => setTimeout(resolve, nth % 7));
}
Deno.exit(0);

function connect(): http2.ClientHttp2Session {
  const connected = http2.connect(`http://127.0.0.1:${port}`);
  connected.on("error", () => {});
  connected.on("goaway", () => {
    connected.close();
    session = connect();
  });
  return connected;
}

async function call(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    session = connect();
    resolve();
  }, PATIENCE_MS);
  try {
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.on("error", () => {});
    stream.on("close", resolve);
    stream.resume();
    stream.end();
    await promise;
  } catch {
    session = connect();
  } finally {
    clearTimeout(timer);
  }
}
