import { join } from "node:path";

/**
 * Gives a folder for what takes long to fetch or to build: it lies in `$XDG_CACHE_HOME/haproxy-grpc-agent`, or
 * in `~/.cache/haproxy-grpc-agent` without that variable. It need not be there yet.
 *
 * @param name of a folder in it; without one it is the folder itself
 */
export function cacheFolder(name = ""): string {
  const caches = Deno.env.get("XDG_CACHE_HOME") || join(Deno.env.get("HOME") ?? ".", ".cache");
  return join(caches, "haproxy-grpc-agent", name);
}
