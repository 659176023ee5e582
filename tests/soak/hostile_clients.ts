import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../lab/testing/random.ts";

/** How long each of them waits before it comes again, in milliseconds: from, to. */
const REST_MS = [300, 1500] as const;

type Hostility = (socket: Socket, line: string, random: Random) => Promise<void>;

/** What a client can do to the agent; each on a connection of its own. */
const HOSTILITIES: Record<string, Hostility> = {
  "resets in the middle of a line": async (socket, line) => {
    await write(socket, line.slice(0, line.length / 2));
  },
  "resets in the middle of a check": async (socket, line) => {
    await write(socket, `${line}\n`);
  },
  "sends half a line and waits": async (socket, line) => {
    await write(socket, line.slice(0, line.length / 2));
    await pause(15_000); // longer than request_timeout_ms
  },
  "connects and says nothing": async () => {
    await pause(5000);
  },
  "dribbles a line": async (socket, line) => {
    for (const char of `${line}\n`) {
      await write(socket, char);
      await pause(40);
    }
    await pause(500);
  },
  "floods with nonsense and never reads": async (socket, _line, random) => {
    socket.pause();
    await write(socket, `nonsense ${random.next()}\n`.repeat(500));
    await pause(1000);
  },
  "asks a hundred times at once and never reads": async (socket, line) => {
    socket.pause();
    await write(socket, `${line}\n`.repeat(100));
    await pause(1000);
  },
  "resets as soon as it is connected": async (socket) => {
    await once(socket, "connect").catch(() => {});
  },
  "sends a line without end": async (socket) => {
    await write(socket, "x".repeat(100_000));
    await pause(200);
  },
  "sends random bytes": async (socket, _line, random) => {
    await write(socket, Uint8Array.from({ length: 3000 }, () => random.next() * 256));
    await pause(200);
  },
  "closes its side after the line": async (socket, line) => {
    socket.end(`${line}\n`);
    await pause(2500);
  },
};

/** Clients that misuse the agent, one of each kind at a time. */
export class HostileClients {
  readonly #port: number;
  readonly #lines: readonly string[];
  readonly #random: Random;
  #running = true;
  #done: Promise<unknown> | undefined;
  #visits = 0;

  /** @param lines valid request lines, to begin with or to send */
  constructor(port: number, lines: readonly string[], random: Random) {
    this.#port = port;
    this.#lines = lines;
    this.#random = random;
  }

  /** How many there were so far. */
  get visits(): number {
    return this.#visits;
  }

  start(): void {
    this.#done = Promise.all(
      Object.values(HOSTILITIES).map((hostility) => this.#repeat(hostility)),
    );
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  async #repeat(hostility: Hostility): Promise<void> {
    const lines = this.#random.cycle(this.#lines);
    while (this.#running) {
      await this.#visit(hostility, lines.next().value);
      this.#visits++;
      await pause(this.#random.between(...REST_MS));
    }
  }

  async #visit(hostility: Hostility, line: string): Promise<void> {
    const socket = connect({ port: this.#port, host: "127.0.0.1" });
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {}); // the agent may reset such a connection
    socket.resume();
    await Promise.race([hostility(socket, line, this.#random), closed]);
    socket.resetAndDestroy();
    await closed;
  }
}

function write(socket: Socket, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => socket.write(data, () => resolve()));
}
