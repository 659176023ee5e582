import { setTimeout as pause } from "node:timers/promises";
import type { HealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { Front, wayTo } from "../lab/backends/peers/front.ts";
import type { SoakFault } from "./faults.ts";
import type { Implementation } from "./implementations.ts";

/** From taking a server out of rotation until it is told to end, in milliseconds. */
const OUT_OF_ROTATION_MS = 300;

/** A backend whose server is replaced as a rolling update does it: the new one serves before the old ends. */
export class RollingBackend implements AsyncDisposable {
  readonly front: Front;
  #implementation: Implementation;
  #server: HealthBackend;

  private constructor(implementation: Implementation, server: HealthBackend) {
    this.#implementation = implementation;
    this.#server = server;
    this.front = new Front(wayTo(server.port));
  }

  static async start(implementation: Implementation): Promise<RollingBackend> {
    return new RollingBackend(implementation, await implementation.start({}));
  }

  /**
   * Replaces the server; the address always serves.
   *
   * @param announced whether the old one says NOT_SERVING before its end
   */
  async update(announced: boolean): Promise<void> {
    const old = this.#server;
    this.#server = await this.#implementation.start({});
    const wayToOld = this.front.replace(wayTo(this.#server.port));
    if (announced) await old.setStatus("", "NOT_SERVING");
    await pause(OUT_OF_ROTATION_MS);
    await old.terminate();
    await wayToOld[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.front[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}

/** What happens to a backend of this kind. */
export const ROLLING_FAULTS: readonly SoakFault<{ name: string; rolling: RollingBackend }>[] = [
  ["SIGTERM to the old server", false] as const,
  ["NOT_SERVING by the old server, then SIGTERM", true] as const,
].map(([how, announced]) => ({
  name: `is replaced by a rolling update (${how})`,
  truth: "up all the time",
  run: async ({ rolling }, hold) => {
    await rolling.update(announced);
    await hold();
  },
}));
