import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { reasonOf } from "../describe_error.ts";
import type { Logger } from "../log/log.ts";
import { formatHostPort } from "../protocol/host.ts";

/** An address that cannot be listened on; the message names it and says why. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/**
 * How many connections may wait to be accepted: as many as Linux allows by default (`net.core.somaxconn`). The
 * kernel does not answer one more, and its client tries again after a second: too late for a check.
 */
const MAX_BACKLOG = 4096;

interface ListenAddress {
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
    const missing: { readonly name: string; readonly error: ListenError }[] = [];
    /** Names of which at least one address is listened on. */
    const named = new Set<string>();
    for (const at of await findListenAddresses(hosts, log)) {
      const address = formatHostPort(at.address, port);
      try {
        listeners.push(Deno.listen({ hostname: at.address, port, tcpBacklog: MAX_BACKLOG }));
      } catch (error) {
        const failure = new ListenError(
          `Cannot listen on ${addressIn(at, port)}: ${reasonOf(error)}`,
        );
        if (at.name === undefined || !isMissing(error)) throw failure;
        missing.push({ name: at.name, error: failure });
        continue;
      }
      if (at.name !== undefined) named.add(at.name);
      log.info("Listening", { address, ...at.name === undefined ? {} : { name: at.name } });
    }
    for (const { name, error } of missing) {
      if (!named.has(name)) throw error;
      log.warn(error.message);
    }
    return listeners;
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
}

/**
 * Looks up where to listen, each address once. Where `::` listens for IPv4 too, `0.0.0.0` beside it is left out.
 *
 * @param log is told where `::` stands alone and listens for IPv6 only
 * @throws {ListenError} for a name without an address
 */
export async function findListenAddresses(
  hosts: readonly string[],
  log: Logger,
): Promise<readonly ListenAddress[]> {
  const found = new Map<string, ListenAddress>();
  for (const host of hosts) {
    for (const at of isIP(host) === 0 ? await addressesOf(host) : [{ address: host }]) {
      if (!found.has(at.address)) found.set(at.address, at);
    }
  }
  if (found.has("::")) {
    const isDualStack = wildcardTakesIPv4();
    if (isDualStack) found.delete("0.0.0.0");
    else if (!found.has("0.0.0.0")) log.warn(IPV6_ONLY);
  }
  return [...found.values()];
}

const IPV6_ONLY = "Listening on :: takes no IPv4 on this machine (net.ipv6.bindv6only is 1): " +
  "whoever asks by IPv4 needs 0.0.0.0 as well";

/** How many ports are tried: another process may have one of them on IPv4. */
const PORTS_TO_TRY = 4;

/**
 * Finds out whether a listener on `::` takes IPv4 too. That is the machine's choice (`net.ipv6.bindv6only`),
 * which Deno (2.9.6) lets nobody make for a socket, nor read from /proc. So it is tried: only where `::` takes
 * IPv6 alone is the same port free on IPv4.
 *
 * @returns also `true` where it cannot be tried, since most machines have it so
 */
function wildcardTakesIPv4(): boolean {
  for (let tries = 0; tries < PORTS_TO_TRY; tries++) {
    try {
      using six = Deno.listen({ hostname: "::", port: 0 });
      Deno.listen({ hostname: "0.0.0.0", port: six.addr.port }).close();
      return false;
    } catch {
      // The port is taken on IPv4, or there is no IPv6: listening itself will report that.
    }
  }
  return true;
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
