/**
 * A loopback port on which nothing listens.
 *
 * It lies below the range from which the kernel gives source ports to outgoing connections, so that no
 * connection made meanwhile can occupy it; with a port from that range a client of a closed port can
 * even connect to itself. Test processes that run at once (tools/test.ts) have ranges of their own.
 *
 * @throws {Error} when no free port is found
 */
export function freePort(): number {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = lowest + Math.floor(Math.random() * count);
    if (given.has(port)) continue;
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) continue;
      throw error;
    }
    given.add(port);
    return port;
  }
  throw new Error(`No free port found between ${lowest} and ${lowest + count}`);
}

const LOWEST = 10_000;
const HIGHEST = 32_000;
const [worker = 0, workers = 1] = (Deno.env.get("TEST_WORKER") ?? "0/1").split("/").map(Number);
const count = Math.floor((HIGHEST - LOWEST) / workers);
const lowest = LOWEST + worker * count;
/** Ports given before in this process: their users may not listen yet. */
const given = new Set<number>();
