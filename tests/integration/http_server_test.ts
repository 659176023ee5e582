import assert from "node:assert/strict";
import { HttpServer } from "../../src/http/server.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { within } from "../lab/testing/eventually.ts";

const LIMITS = { headersMs: 300, requestMs: 600, answerMs: 300 };

/** More than the kernel's buffers take. */
const MUCH = new Uint8Array(50e6);

/** What a client sends of its request, and how many bytes it reads before it stops. */
const CLIENTS: readonly [string, string][] = [
  ["says nothing", ""],
  ["sends half a header", "GET / HTTP/1.1\r\nHo"],
  ["does not read its answer", "GET /much HTTP/1.1\r\nHost: a\r\n\r\n"],
];

for (const [what, request] of CLIENTS) {
  Deno.test(`HttpServer lets go of a client that ${what}`, async () => {
    const port = freePort();
    const server = new HttpServer(
      "127.0.0.1",
      port,
      new Map([["/much", () => ({ body: MUCH })]]),
      { onBug: () => {}, onDeaf: () => {}, onRecovered: () => {} },
      LIMITS,
    );
    await server.listening;
    using client = await Deno.connect({ hostname: "127.0.0.1", port });
    await client.write(new TextEncoder().encode(request));
    await new Promise((resolve) => setTimeout(resolve, 3 * LIMITS.headersMs));
    let received = 0;
    const buffer = new Uint8Array(1e6);
    for (;;) {
      const count = await within("the end", 5000, client.read(buffer).catch(() => null));
      if (count === null) break;
      received += count;
    }
    assert.ok(received < MUCH.length / 2, `${received} bytes came`);
    await server.stop();
  });
}

Deno.test("HttpServer answers 500 where an answer cannot be made, and goes on", async () => {
  const port = freePort();
  const paths = new Map([
    ["/bad", () => Promise.reject(new Error("s3cret"))],
    ["/good", () => Promise.resolve({ body: "good" })],
  ]);
  const errors: unknown[] = [];
  const server = new HttpServer("127.0.0.1", port, paths, {
    onBug: (error) => errors.push(error),
    onDeaf: () => {},
    onRecovered: () => {},
  });
  await server.listening;
  for (const [path, status, body] of [["bad", 500, "Internal error\n"], ["good", 200, "good"]]) {
    const response = await fetch(`http://127.0.0.1:${port}/${path}`);
    assert.deepEqual([response.status, await response.text()], [status, body]);
  }
  assert.deepEqual(errors, [new Error("s3cret")]);
  await server.stop();
});
