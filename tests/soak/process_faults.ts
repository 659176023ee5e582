// How faults are injected into a backend that is a process of its own.

import type { HealthBackend, HealthStatus } from "../lab/backends/libraries/health_backend.ts";
import type { Injector } from "./schedule.ts";
import { change, type Target, type Timeline } from "./timeline.ts";

/** A backend that is a process of its own on a port of its own. */
export interface ProcessBackend {
  readonly name: string;
  readonly backend: HealthBackend;
  /** By service; "" is the server as a whole. */
  readonly targets: ReadonlyMap<string, Target>;
}

/**
 * A process that has just been thawed finds its own timers and a queue of connections before it comes
 * to answer, in milliseconds.
 */
export const THAW_SETTLE_MS = 200;

/** Ends the process, by SIGKILL or SIGTERM, and starts it again. */
export function restarted(end: "kill" | "terminate"): Injector<ProcessBackend> {
  return async (process, { name, hold }) => {
    await change(timelines(process), "down", `${name}: stop`, () => process.backend[end]());
    await hold();
    await start(process, `${name}: start`);
  };
}

/** Stops the execution of the process for a while. */
export const frozen: Injector<ProcessBackend> = async (process, { hold }) => {
  await freeze(process);
  await hold();
  const thaw = () => process.backend.thaw();
  await change(timelines(process), "up", "SIGCONT", thaw, THAW_SETTLE_MS);
};

/** Stops the execution of the process, kills it and starts it again. */
export const frozenAndKilled: Injector<ProcessBackend> = async (process, { hold }) => {
  await freeze(process);
  await hold();
  // What was sent to it lies unread, so that its connections are reset.
  await process.backend.kill();
  await start(process, "started");
};

/** Has it answer slowly, but in time. */
export function answeringAfter(delayMs: number): Injector<ProcessBackend> {
  return async ({ backend }, { hold }) => {
    await backend.setDelay(delayMs);
    await hold();
    await backend.setDelay(0);
  };
}

/** Has it answer too slowly. @param settleMs until the last check that shares a slow call has ended */
export function tooSlow(delayMs: number, settleMs: number): Injector<ProcessBackend> {
  return async (process, { name, hold }) => {
    const setDelay = (ms: number) => () => process.backend.setDelay(ms);
    await change(timelines(process), "down", name, setDelay(delayMs));
    await hold();
    await change(timelines(process), "up", "answers quickly", setDelay(0), settleMs);
  };
}

/** Has one of its services say a status, or end calls with an error's number. */
export function oneService(kind: "status", status: HealthStatus): Injector<ProcessBackend>;
export function oneService(kind: "error", code: number): Injector<ProcessBackend>;
export function oneService(
  kind: "status" | "error",
  value: HealthStatus,
): Injector<ProcessBackend> {
  return async ({ backend, targets }, { name, hold, random }) => {
    const [chosen] = random.shuffled([...targets]);
    if (chosen === undefined) return;
    const [service, { timeline }] = chosen;
    await change([timeline], "down", `${service || "the server"} ${name}`, () => {
      return kind === "error"
        ? backend.setError(service, Number(value))
        : backend.setStatus(service, value);
    });
    await hold();
    await change([timeline], "up", "says SERVING", () => backend.setStatus(service, "SERVING"));
  };
}

async function start(process: ProcessBackend, why: string): Promise<void> {
  await change(timelines(process), "up", why, async () => void await process.backend.start());
}

async function freeze(process: ProcessBackend): Promise<void> {
  await change(timelines(process), "down", "SIGSTOP", () => process.backend.freeze());
}

function timelines({ targets }: ProcessBackend): Timeline[] {
  return [...targets.values()].map(({ timeline }) => timeline);
}
