import { eventually } from "../testing/eventually.ts";
import type { Haproxy, ServerRow } from "./haproxy.ts";

/** What one server of a backend should look like by HAProxy's own check; what is left out may be anything. */
export interface CheckedServer {
  /** Its name in HAProxy. */
  server?: string;
  /** `address:port`, or how that ends. */
  address?: string;
  /** The first word of its status: `UP` is `UP 1/3`, too. */
  status?: string;
  /** How the check ended: `L7OK`, `L4CON` ... */
  checkStatus?: string | RegExp;
  /** `last_chk`, or a part of it. */
  lastCheck?: string | RegExp;
}

/**
 * Waits until a backend has a server that looks as expected.
 *
 * @param timeoutMs milliseconds before it gives up
 * @throws {Error} with the servers as they are and HAProxy's log when the time is over
 */
export async function waitForServer(
  haproxy: Haproxy,
  backend: string,
  expected: CheckedServer,
  timeoutMs = 15_000,
): Promise<ServerRow> {
  let seen: string[] = [];
  try {
    return await eventually(`${backend} to have ${describe(expected)}`, async () => {
      const rows = await haproxy.stats(backend);
      seen = rows.filter(({ fields }) => fields.addr).map(({ server, status, fields }) =>
        `${server} ${fields.addr} ${status} ${fields.check_status} "${fields.last_chk}"`
      );
      return rows.find((row) => looksLike(row, expected));
    }, { timeoutMs });
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`${message}; it has\n${seen.join("\n")}\nHAProxy's log:\n${haproxy.log()}`);
  }
}

function looksLike({ server, status, fields }: ServerRow, expected: CheckedServer): boolean {
  const { last_chk = "", check_status = "", addr = "" } = fields;
  return is(server, expected.server) &&
    addr.endsWith(expected.address ?? "") &&
    is(status.split(" ")[0] ?? "", expected.status) &&
    is(check_status.replace("* ", ""), expected.checkStatus) &&
    is(last_chk, expected.lastCheck);
}

function is(value: string, expected: string | RegExp | undefined): boolean {
  return expected instanceof RegExp ? expected.test(value) : value === (expected ?? value);
}

function describe(expected: CheckedServer): string {
  return Object.values(expected).join(" ");
}
