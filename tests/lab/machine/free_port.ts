/**
 * A loopback port on which nothing listens.
 *
 * It lies below the range from which the kernel gives source ports to outgoing connections, so that no
 * connection made meanwhile can occupy it; with a port from that range a client of a closed port can
 * even connect to itself.
 *
 * @throws {Error} when no free port is found
 */
export function freePort(): number {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
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
  throw new Error(`No free port found between ${LOWEST} and ${HIGHEST}`);
}

const LOWEST = 10_000;
const HIGHEST = 32_000;
/** Ports given before in this process: their users may not listen yet. */
const given = new Set<number>();
