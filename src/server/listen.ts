import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { reasonOf } from "../describe_error.ts";
import type { Logger } from "../log/log.ts";
import { formatHostPort } from "../protocol/host.ts";

/** An address that cannot be listened on; the message names it and says why. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/** Where to listen. */
export interface ListenAddress {
  /** An IP address. */
  readonly address: string;
  /** The name that it was found by. */
  readonly name?: string;
}

/**
 * Listens on some addresses and port, on all of them or none: a name stands for all of its addresses
 * (`localhost` for `127.0.0.1` and `::1`). An address of a name that this machine does not have is passed
 * over, with a warning, where another address of that name can be listened on.
 *
 * @param hosts IP addresses and names
 * @param log each address is logged
 * @throws {ListenError} when one cannot be listened on
 */
export async function listenOn(
  hosts: readonly string[],
  port: number,
  log: Logger,
): Promise<Deno.TcpListener[]> {
  const listeners: Deno.TcpListener[] = [];
  try {
    const missing: { readonly at: ListenAddress; readonly error: ListenError }[] = [];
    const named = new Set<string>();
    for (const at of await findListenAddresses(hosts)) {
      const address = formatHostPort(at.address, port);
      try {
        listeners.push(Deno.listen({ hostname: at.address, port }));
      } catch (error) {
        const failure = new ListenError(
          `Cannot listen on ${addressIn(at, port)}: ${reasonOf(error)}`,
        );
        if (at.name === undefined || !isMissing(error)) throw failure;
        missing.push({ at, error: failure });
        continue;
      }
      if (at.name !== undefined) named.add(at.name);
      log.info("Listening", { address, ...at.name === undefined ? {} : { name: at.name } });
    }
    for (const { at, error } of missing) {
      if (at.name === undefined || !named.has(at.name)) throw error;
      log.warn(error.message);
    }
    return listeners;
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
}

/**
 * Looks up where to listen, each address once. `::` listens for IPv4 too, so beside it `0.0.0.0` is left out.
 *
 * @throws {ListenError} for a name without an address
 */
export async function findListenAddresses(
  hosts: readonly string[],
): Promise<readonly ListenAddress[]> {
  const found = new Map<string, ListenAddress>();
  for (const host of hosts) {
    for (const at of isIP(host) === 0 ? await addressesOf(host) : [{ address: host }]) {
      if (!found.has(at.address)) found.set(at.address, at);
    }
  }
  if (found.has("::")) found.delete("0.0.0.0");
  return [...found.values()];
}

async function addressesOf(name: string): Promise<readonly ListenAddress[]> {
  try {
    const found = await lookup(name, { all: true, order: "verbatim" });
    if (found.length > 0) return found.map(({ address }) => ({ address, name }));
  } catch (error) {
    throw new ListenError(`Cannot listen on ${name}: the name has no address (${reasonOf(error)})`);
  }
  throw new ListenError(`Cannot listen on ${name}: the name has no address`);
}

/** Whether the machine has no such address: /etc/hosts says `::1` on machines without IPv6, too. */
function isMissing(error: unknown): boolean {
  return error instanceof Deno.errors.AddrNotAvailable ||
    /address family not supported/i.test(reasonOf(error));
}

function addressIn({ address, name }: ListenAddress, port: number): string {
  const text = formatHostPort(address, port);
  return name === undefined ? text : `${text} (${name})`;
}
