// Loaded into the agent's process before the agent: tells five times a second how many timers are
// pending that would keep the process alive.

import process from "node:process";
import { timerFile } from "./timer_file.ts";

const EVERY_MS = 200;

/** Kept open: the agent gives up the permission to open it. */
const file = Deno.openSync(timerFile(Deno.pid), { create: true, write: true, truncate: true });

function tell(): void {
  const timers = process.getActiveResourcesInfo().filter((kind) => kind === "Timeout");
  file.seekSync(0, Deno.SeekMode.Start);
  // Always as long, so that nothing is left of the count before.
  file.writeSync(new TextEncoder().encode(`${timers.length}`.padStart(8)));
}

tell();
Deno.unrefTimer(setInterval(tell, EVERY_MS));
