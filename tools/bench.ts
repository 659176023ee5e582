// What a check costs, beside floors measured in the same run: `deno task bench`.

import { parseArgs } from "node:util";
import { ROOT } from "../tests/lab/lab_process.ts";
import { measureGrpcFloor } from "./bench/grpc_floor.ts";
import { compare } from "./bench/rounds.ts";
import { measureSteady, type Steady } from "./bench/steady.ts";
import * as tables from "./bench/tables.ts";
import { V8_FLAGS } from "./packaging/run_arguments.ts";
import { surroundings } from "./soak/surroundings.ts";
import { writeSection } from "./write_section.ts";

const USAGE = `Usage: deno task bench [--quick] [--memory-minutes N] [--json PATH] [--write-docs]

  --quick             one short round: whether it works, not figures
  --memory-minutes N  how long memory is watched at 100 checks/s (1; 0 for not at all)
  --json PATH         write all figures
  --write-docs        put the tables into docs/performance.md`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      "memory-minutes": { type: "string", default: "1" },
      json: { type: "string" },
      "write-docs": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const effort = values.quick ? { seconds: 0.3, rounds: 1 } : { seconds: 3, rounds: 3 };
  const where = { date: new Date().toISOString(), v8Flags: V8_FLAGS, ...surroundings() };
  const comparison = await compare(effort, (line) => console.error(line));
  const grpcAlone = await measureGrpcFloor(effort);
  const steady = await measureMemory(Number(values["memory-minutes"]), values.quick);
  const report = [
    `${where.date.slice(0, 10)}, ${where.agent}, Deno ${where.deno}, grpc-js ${where.grpcJs}, ` +
    `${where.processors}, \`${where.v8Flags}\`. Medians of ${effort.rounds} rounds of ` +
    `${effort.seconds} s; in brackets the least and the most.`,
    tables.comparisonTable(comparison),
    tables.memoryAfterTable(comparison),
    tables.grpcFloorTable(grpcAlone),
    ...steady.length === 0 ? [] : [tables.steadyTable(steady)],
  ].join("\n\n");
  console.log(report);
  if (values.json !== undefined) {
    const figures = { where, effort, ...comparison, grpcAlone, steady };
    await Deno.writeTextFile(values.json, `${JSON.stringify(figures, undefined, 1)}\n`);
  }
  if (values["write-docs"]) await writeSection(`${ROOT}docs/performance.md`, "bench", report);
}

/** Twenty seconds with 1, 100 and 1000 backends, then one backend for long. */
async function measureMemory(minutes: number, quick: boolean): Promise<Steady[]> {
  if (minutes === 0) return [];
  if (quick) return [await measureSteady(1, 2)];
  const results: Steady[] = [];
  for (const backends of [1, 100, 1000]) results.push(await measureSteady(backends, 20));
  results.push(await measureSteady(1, minutes * 60, 60));
  return results;
}

await main();
