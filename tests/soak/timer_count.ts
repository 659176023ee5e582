// Loaded into the agent's process before the agent: five times a second it writes how many timers are pending
// that would keep the process alive into the file that SOAK_TIMER_FILE names. The agent may write below /tmp.

import process from "node:process";

const EVERY_MS = 200;

/** Kept open: the agent gives up the permission to open it. */
const file = Deno.openSync(Deno.env.get("SOAK_TIMER_FILE") ?? "", {
  create: true,
  write: true,
  truncate: true,
});

function tell(): void {
  const timers = process.getActiveResourcesInfo().filter((kind) => kind === "Timeout");
  file.seekSync(0, Deno.SeekMode.Start);
  // Always as long, so that nothing is left of the count before.
  file.writeSync(new TextEncoder().encode(`${timers.length}`.padStart(8)));
}

tell();
Deno.unrefTimer(setInterval(tell, EVERY_MS));
