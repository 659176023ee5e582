/**
 * A module to be loaded into the agent's process: at SIGUSR2 the time of day is set back two hours, and
 * eleven minutes pass.
 */
const HOUR_MS = 60 * 60 * 1000;
const PASSED_MS = 11 * 60 * 1000;

let passedMs = 0;
let setBackMs = 0;
const TrueDate = Date;
const elapsed = performance.now.bind(performance);

globalThis.Date = class extends TrueDate {
  static override now(): number {
    return TrueDate.now() + passedMs - setBackMs;
  }

  constructor(...given: unknown[]) {
    super(...(given.length === 0 ? [Date.now()] : given) as [number]);
  }
} as DateConstructor;
Object.defineProperty(performance, "now", { value: () => elapsed() + passedMs });

Deno.addSignalListener("SIGUSR2", () => {
  passedMs += PASSED_MS;
  setBackMs += 2 * HOUR_MS;
});
