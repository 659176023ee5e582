import { existsSync } from "node:fs";
import { eventually, withSeen } from "../testing/eventually.ts";
import type { Need } from "../testing/test_that_needs.ts";
import { freePort } from "./free_port.ts";
import { LabProcess } from "./lab_process.ts";

/** Debian's NSD: an authoritative name server that takes new records at SIGHUP and misses no question. */
const NSD = "/usr/sbin/nsd";

/** What a test with a name server needs; see `test_that_needs.ts`. */
export const NAME_SERVER: Need = {
  missing: existsSync(NSD) ? undefined : "a name server is missing: install Debian's nsd",
};

/** The zone whose records a test sets. */
const ZONE = "internal";

/**
 * A real name server on loopback whose records a test changes while it runs. It knows what is under
 * `internal` and answers nothing else.
 */
export class NameServer implements AsyncDisposable {
  /** Its port on 127.0.0.1, UDP and TCP. */
  readonly port = freePort();
  #directory: string;
  #process: LabProcess | undefined;
  #serial = 0;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Starts a name server.
   *
   * @param records as {@linkcode NameServer.set} takes them
   * @throws {Error} with its own words when it does not start
   */
  static async start(records: readonly string[]): Promise<NameServer> {
    const server = new NameServer(await Deno.makeTempDir({ prefix: "name-server-" }));
    await server.#write(records);
    await server.#start();
    return server;
  }

  /**
   * Replaces all records at once; when this resolves they are what it answers.
   *
   * @param records lines of a zone file, their names relative to `internal`: `api A 10.0.3.7`
   */
  async set(records: readonly string[]): Promise<void> {
    await this.#write(records);
    this.#process?.signal("SIGHUP");
    await eventually("the name server to know its new records", () => this.#isUpToDate());
  }

  async #start(): Promise<void> {
    const process = new LabProcess(NSD, { args: ["-d", "-c", `${this.#directory}/nsd.conf`] });
    this.#process = process;
    try {
      await eventually("the name server to answer", () => {
        if (!process.running) throw new Error("The name server ended at its start");
        return this.#isUpToDate();
      });
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw withSeen(error, `; it said:\n${process.stderr.lines.join("\n")}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.stop();
    await Deno.remove(this.#directory, { recursive: true });
  }

  async #write(records: readonly string[]): Promise<void> {
    this.#serial++;
    const zone = [
      "$TTL 1",
      `@ SOA ns.${ZONE}. admin.${ZONE}. ${this.#serial} 3600 600 86400 1`,
      `@ NS ns.${ZONE}.`,
      "ns A 127.0.0.1",
      ...records,
    ];
    // Put in place whole, so that it is never read while it is written.
    await Deno.writeTextFile(`${this.#directory}/zone.new`, zone.join("\n") + "\n");
    await Deno.rename(`${this.#directory}/zone.new`, `${this.#directory}/zone`);
    await Deno.writeTextFile(`${this.#directory}/nsd.conf`, this.#configuration());
  }

  #configuration(): string {
    const folder = this.#directory;
    return `server:
  ip-address: 127.0.0.1@${this.port}
  username: ""
  chroot: ""
  database: ""
  zonesdir: "${folder}"
  xfrdir: "${folder}"
  xfrdfile: "${folder}/xfrd.state"
  zonelistfile: "${folder}/zone.list"
  pidfile: "${folder}/nsd.pid"
  server-count: 1
  xfrd-reload-timeout: 0
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: ${ZONE}
  zonefile: zone
`;
  }

  async #isUpToDate(): Promise<boolean> {
    try {
      const nameServer = { ipAddr: "127.0.0.1", port: this.port };
      const [soa] = await Deno.resolveDns(`${ZONE}.`, "SOA", { nameServer });
      return soa?.serial === this.#serial;
    } catch {
      return false; // not there yet
    }
  }
}
