import type { HealthBackend } from "../lab/backends/libraries/health_backend.ts";
import type { SoakFault } from "./faults.ts";
import type { Target } from "./target.ts";
import { change } from "./timeline.ts";

/** A backend that is a process of its own on a port of its own. */
export interface ProcessBackend {
  readonly name: string;
  readonly backend: HealthBackend;
  /** By service; "" is the server as a whole. */
  readonly targets: ReadonlyMap<string, Target>;
}

type ProcessFault = SoakFault<ProcessBackend>;

/**
 * A process that has just been thawed finds its own timers and a queue of connections before it comes
 * to answer, in milliseconds.
 */
const THAW_SETTLE_MS = 200;

/**
 * A backend that answers too slowly has calls in hand when it becomes quick again, and equal checks share
 * a call. The call ends at `grpc_rpc_timeout_ms`, in milliseconds.
 */
const SLOW_SETTLE_MS = 1500 + 200;

/** Slow, but within every time limit of the agent, in milliseconds. */
const SLOW_MS = 700;

/** Slower than `grpc_rpc_timeout_ms`. */
const TOO_SLOW_MS = 2500;

function timelines({ targets }: ProcessBackend) {
  return [...targets.values()].map(({ timeline }) => timeline);
}

/** Stops the process, waits, starts it again. */
function stopped(
  name: string,
  stop: (backend: HealthBackend) => Promise<void>,
  lasts: boolean,
): ProcessFault {
  return {
    name,
    truth: "down from the seen exit to the word that it listens; either while it stops or starts",
    run: async (process, hold) => {
      await change(timelines(process), "down", `${name}: stop`, () => stop(process.backend));
      if (lasts) await hold();
      await change(timelines(process), "up", `${name}: start`, async () => {
        await process.backend.start();
      });
    },
  };
}

function saying(status: "NOT_SERVING" | "UNKNOWN" | "SERVICE_UNKNOWN" | 999): ProcessFault {
  return {
    name: `says ${status}`,
    truth: "one service is down from the acknowledged command on, the other stays up",
    run: (process, hold, random) =>
      onOneService(process, random, async (backend, service, target) => {
        const why = `${service || "the server"} says ${status}`;
        await change([target.timeline], "down", why, () => backend.setStatus(service, status));
        await hold();
        await serveAgain(backend, service, target);
      }),
  };
}

function failing(name: string, code: number): ProcessFault {
  return {
    name: `ends calls with ${name}`,
    truth: "one service is down from the acknowledged command on, the other stays up",
    run: (process, hold, random) =>
      onOneService(process, random, async (backend, service, target) => {
        await change([target.timeline], "down", `ends calls with ${name}`, () => {
          return backend.setError(service, code);
        });
        await hold();
        await serveAgain(backend, service, target);
      }),
  };
}

async function onOneService(
  { backend, targets }: ProcessBackend,
  random: { shuffled<Value>(values: readonly Value[]): Value[] },
  run: (backend: HealthBackend, service: string, target: Target) => Promise<void>,
): Promise<void> {
  const [chosen] = random.shuffled([...targets]);
  if (chosen !== undefined) await run(backend, ...chosen);
}

async function serveAgain(backend: HealthBackend, service: string, target: Target): Promise<void> {
  await change(
    [target.timeline],
    "up",
    "says SERVING",
    () => backend.setStatus(service, "SERVING"),
  );
}

/** Waits until the kernel shows a process as stopped or, with `stopped` false, as not stopped. */
async function untilStopped(pid: number | undefined, stopped: boolean): Promise<void> {
  while (true) {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    if ((stat.slice(stat.lastIndexOf(")") + 2).startsWith("T")) === stopped) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const FREEZE: ProcessFault = {
  name: "freezes (SIGSTOP, SIGCONT)",
  truth: `down while the kernel shows it stopped; either for ${THAW_SETTLE_MS} ms after SIGCONT`,
  run: async (process, hold) => {
    const { backend } = process;
    await frozen(process);
    await hold();
    await change(timelines(process), "up", "SIGCONT", async () => {
      await backend.thaw();
      await untilStopped(backend.pid, false);
    }, THAW_SETTLE_MS);
  },
};

const FREEZE_AND_KILL: ProcessFault = {
  name: "freezes (SIGSTOP), is killed (SIGKILL) and restarts",
  truth: "down while the kernel shows it stopped, and until it starts; either while it starts",
  run: async (process, hold) => {
    const { backend } = process;
    await frozen(process);
    await hold();
    // What was sent to it lies unread, so that its connections are reset.
    await backend.kill();
    await change(timelines(process), "up", "started", async () => void await backend.start());
  },
};

async function frozen(process: ProcessBackend): Promise<void> {
  const { backend } = process;
  await change(timelines(process), "down", "SIGSTOP", async () => {
    await backend.freeze();
    await untilStopped(backend.pid, true);
  });
}

/** What happens to processes. */
export const PROCESS_FAULTS: readonly ProcessFault[] = [
  stopped("is killed (SIGKILL) and returns later", (backend) => backend.kill(), true),
  stopped("is killed (SIGKILL) and restarts at once", (backend) => backend.kill(), false),
  stopped("ends politely (SIGTERM) and returns later", (backend) => backend.terminate(), true),
  stopped("restarts politely (SIGTERM)", (backend) => backend.terminate(), false),
  FREEZE,
  FREEZE_AND_KILL,
  {
    name: `answers after ${SLOW_MS} ms`,
    truth: "up all the time",
    run: async ({ backend }, hold) => {
      await backend.setDelay(SLOW_MS);
      await hold();
      await backend.setDelay(0);
    },
  },
  {
    name: `answers after ${TOO_SLOW_MS} ms`,
    truth: `down; either for ${SLOW_SETTLE_MS} ms after its end: a check may share a call in hand`,
    run: async (process, hold) => {
      const { backend } = process;
      await change(timelines(process), "down", `answers after ${TOO_SLOW_MS} ms`, () => {
        return backend.setDelay(TOO_SLOW_MS);
      });
      await hold();
      await change(timelines(process), "up", "answers quickly", () => {
        return backend.setDelay(0);
      }, SLOW_SETTLE_MS);
    },
  },
  saying("NOT_SERVING"),
  saying("UNKNOWN"),
  saying("SERVICE_UNKNOWN"),
  saying(999),
  failing("UNIMPLEMENTED", 12),
  failing("UNAVAILABLE", 14),
  failing("INTERNAL", 13),
  failing("RESOURCE_EXHAUSTED", 8),
  failing("UNAUTHENTICATED", 16),
];
