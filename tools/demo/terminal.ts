import { setTimeout as pause } from "node:timers/promises";
import type { Stage } from "./play.ts";
import { serverTable } from "./view.ts";

const HELP = "1: let backend 1 fail or recover   2: kill or restart backend 2   q: quit";

/** Shows the servers, renewed several times a second, and obeys keys until `q` or the signal. */
export async function runInTerminal(stage: Stage): Promise<void> {
  const ended = new AbortController();
  Deno.stdin.setRaw(true, { cbreak: true }); // keys at once; Ctrl-C stays a signal
  const shown = showServers(stage, AbortSignal.any([stage.signal, ended.signal]));
  try {
    await Promise.race([obeyKeys(stage), shown]);
  } finally {
    ended.abort();
    await shown.catch(() => {}); // the race has told its failure
    Deno.stdin.setRaw(false);
  }
}

async function showServers({ judge }: Stage, signal: AbortSignal): Promise<void> {
  let above = 0;
  while (!signal.aborted) {
    const { columns } = Deno.consoleSize();
    const lines = ["", ...serverTable(await judge.servers()), "", `  ${HELP}`]
      .map((line) => line.slice(0, columns));
    // Up to where the last one began, and clear from there.
    console.log((above > 0 ? `\x1b[${above}A\x1b[J` : "") + lines.join("\n"));
    above = lines.length;
    await pause(250, undefined, { signal }).catch(() => {});
  }
}

/** Ends at `q`. */
async function obeyKeys({ first, second }: Stage): Promise<void> {
  let serving = true;
  let running = true;
  for await (const bytes of Deno.stdin.readable) {
    for (const key of new TextDecoder().decode(bytes)) {
      if (key === "q") return;
      if (key === "1") {
        serving = !serving;
        await first.setStatus("", serving ? "SERVING" : "NOT_SERVING");
      }
      if (key === "2") {
        running = !running;
        await (running ? second.start() : second.kill());
      }
    }
  }
}
