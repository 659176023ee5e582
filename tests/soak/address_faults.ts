// How faults are injected into a backend behind an address that can lead elsewhere.

import { setTimeout as pause } from "node:timers/promises";
import type { HealthBackend } from "../lab/backends/libraries/health_backend.ts";
import type { Library } from "../lab/backends/libraries/library_backends.ts";
import { Front, wayTo } from "../lab/backends/peers/front.ts";
import { http2Peer } from "../lab/backends/peers/http2_peer.ts";
import type { Peer, PeerServer } from "../lab/backends/peers/peer_server.ts";
import { eventually } from "../lab/testing/eventually.ts";
import type { Injector } from "./schedule.ts";
import { change, type Target } from "./timeline.ts";

/** A backend behind an address that can lead elsewhere. */
export interface AddressBackend {
  readonly name: string;
  readonly front: Front;
  /** What answers when nothing is wrong. */
  readonly healthy: () => PeerServer;
  readonly target: Target;
}

/** Calls on connections of the one that has answered so far get this long to end, in milliseconds. */
const DRAIN_MS = 1000;

/** Until each old connection has been asked, no longer than this, in milliseconds. */
const ASKED_WITHIN_MS = 5000;

/** From taking a server out of rotation until it is told to end, in milliseconds. */
const OUT_OF_ROTATION_MS = 300;

/** Another answers for a while, and nobody must notice. */
export function politelyLeadingTo(start: () => PeerServer): Injector<AddressBackend> {
  return async ({ front, healthy }, { hold }) => {
    await drained(front.replace(start()));
    await hold();
    await drained(front.replace(healthy()));
  };
}

async function drained(before: PeerServer): Promise<void> {
  await pause(DRAIN_MS);
  await before[Symbol.asyncDispose]();
}

/** Another answers for a while; connections end at both switches. */
export function leadingTo(start: () => PeerServer): Injector<AddressBackend> {
  return async ({ front, healthy, target: { timeline } }, { name, hold }) => {
    const peer = start();
    await change([timeline], "down", name, () => front.lead(peer));
    await hold();
    await change([timeline], "up", "healthy again", () => front.lead(healthy()));
  };
}

/** Another takes the port itself. @param settleMs until the last check that shares an old attempt has ended */
export function portTakenBy(
  occupy: (port: number) => Peer | Promise<Peer>,
  settleMs = 0,
): Injector<AddressBackend> {
  return async ({ front, healthy, target: { timeline } }, { name, hold }) => {
    await change([timeline], "down", name, () => front.vacate(occupy));
    await hold();
    await change([timeline], "up", "healthy again", () => front.reopen(healthy()), settleMs);
  };
}

/** Calls are taken and not answered for a while. */
export const holdingAnswersBack: Injector<AddressBackend> = async (backend, { hold }) => {
  const { front, healthy, target: { timeline } } = backend;
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const peer = http2Peer({
    answer: async (call) => {
      await released;
      await call.serve();
    },
  });
  await change([timeline], "down", "holds its answers back", () => front.lead(peer));
  await hold();
  await change([timeline], "up", "gives its answers", release, 50);
  await front.lead(healthy());
};

/** The connections that there are take calls and answer none; new ones are served. */
export const becomingDeaf: Injector<AddressBackend> = async (backend, { hold }) => {
  const { front, healthy, target: { lines } } = backend;
  let unanswered = 0;
  let deaf = false;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const peer = http2Peer({
    answer: async (call) => {
      if (!deaf) return await call.serve();
      unanswered++;
      await ended;
    },
  });
  await front.lead(peer);
  await hold();
  deaf = true;
  const before = front.replace(healthy());
  // The agent keeps a connection for each authority.
  await eventually("the old connections to be asked", () => unanswered >= lines.length, {
    timeoutMs: ASKED_WITHIN_MS,
  }).catch(() => {});
  await hold();
  end();
  await before[Symbol.asyncDispose]();
};

/** A backend whose server is replaced as a rolling update does it: the new one serves before the old ends. */
export class RollingBackend implements AsyncDisposable {
  readonly front: Front;
  #library: Library;
  #server: HealthBackend;

  private constructor(library: Library, server: HealthBackend) {
    this.#library = library;
    this.#server = server;
    this.front = new Front(wayTo(server.port));
  }

  static async start(library: Library): Promise<RollingBackend> {
    return new RollingBackend(library, await library.start({}));
  }

  /**
   * Replaces the server; the address always serves.
   *
   * @param announced whether the old one says NOT_SERVING before its end
   */
  async update(announced: boolean): Promise<void> {
    const old = this.#server;
    this.#server = await this.#library.start({});
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

/** A server is replaced by another one. @param announced whether it says NOT_SERVING first */
export function rollingUpdate(announced: boolean): Injector<RollingBackend> {
  return async (rolling, { hold }) => {
    await rolling.update(announced);
    await hold();
  };
}
