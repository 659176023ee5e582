// The agent under load while backends fail in every way: `deno task soak`.

import { parseArgs } from "node:util";
import { writeDocuments } from "../tests/soak/document.ts";
import { formatReport } from "../tests/soak/report.ts";
import { runSoak } from "../tests/soak/run.ts";

const USAGE = `Usage: deno task soak [--minutes N] [--seed S] [--json PATH] [--write-docs]

  --minutes N   how long it is asked (30)
  --seed S      repeats the order of faults of an earlier run (a random one)
  --json PATH   write all figures, and everything about each wrong or late answer
  --write-docs  put the result into docs/reliability.md, with its plot

Exit code 0: every answer was right and in time; 1: not so.`;

/** What an answer may take longer than the agent has for it: to send the line, to read the reply. */
const GRACE_MS = 50;

async function main(): Promise<number> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      minutes: { type: "string", default: "30" },
      seed: { type: "string", default: `${Math.floor(Math.random() * 2 ** 31)}` },
      json: { type: "string" },
      "write-docs": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stop.abort());
  }
  console.log(`Seed ${values.seed}. Starting backends and the agent ...`);
  const result = await runSoak({
    minutes: Number(values.minutes),
    seed: Number(values.seed),
    graceMs: GRACE_MS,
    onProgress: (line) => console.log(line),
    signal: stop.signal,
  });
  console.log(`\n${formatReport(result)}`);
  if (values.json !== undefined) {
    await Deno.writeTextFile(values.json, `${JSON.stringify(result, undefined, 1)}\n`);
  }
  if (values["write-docs"]) await writeDocuments(result);
  return result.problems.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
