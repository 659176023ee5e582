// What a check costs, beside a floor and other agents measured in the same run: `deno task bench`.

import { parseArgs } from "node:util";
import { surroundings } from "../tests/lab/machine/surroundings.ts";
import { ROOT } from "../tests/lab/testing/repository.ts";
import { compare } from "./bench/compare.ts";
import { plotGrowth } from "./bench/plot.ts";
import { GROUPS, selectRows } from "./bench/rows.ts";
import { AGENTS, besideKinds } from "./bench/subjects.ts";
import { comparisonTable } from "./bench/tables.ts";
import { V8_FLAGS } from "./packaging/run_arguments.ts";
import { writeFormatted, writeSection } from "./write_section.ts";

const USAGE = `Usage: deno task bench [options]

  --only ROW[/SUBJECT]   measure this row alone, or one subject of it beside the floor; again for more
  --beside NAME=COMMAND  measure another agent too; COMMAND is given --server-bind, --server-port,
                         --metrics-bind, --metrics-port and --log-level; again for more
  --seconds S            of each load in each round (1.2)
  --rounds N             how often each load is put on each subject (3)
  --quick                one short round of all: whether it works, not figures
  --json PATH            write all figures
  --write-docs           put the table and the plot into docs/

Rows: ${GROUPS.flat().map(({ name }) => name).join(", ")}
Subjects: ${AGENTS.map(({ name }) => name).join(", ")}, and those of --beside

An hour of memory at 100 checks a second: --only rate-100/rpc --rounds 1 --seconds 900`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true, default: [] },
      beside: { type: "string", multiple: true, default: [] },
      seconds: { type: "string" },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      json: { type: "string" },
      "write-docs": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const groups = selectRows(GROUPS, values.only);
  const effort = {
    seconds: Number(values.seconds ?? (values.quick ? 0.2 : 1.2)),
    rounds: Number(values.rounds ?? (values.quick ? 1 : 3)),
    warmUpSeconds: values.quick ? 0 : 4,
  };
  const kinds = values.beside.flatMap(besideKinds);
  const refusals: string[] = [];
  for (const kind of AGENTS) {
    const refusal = await kind.refusal?.();
    if (refusal === undefined) kinds.push(kind);
    else refusals.push(`- \`${kind.name}\` is missing: ${refusal}`);
  }
  const where = { date: new Date().toISOString(), v8Flags: V8_FLAGS, ...surroundings() };
  const comparison = await compare(groups, kinds, values.only, effort, (line) => {
    console.error(line);
  });
  const report = [
    `${where.date.slice(0, 10)}, ${where.agent}, Deno ${where.deno}, grpc-js ${where.grpcJs}, ` +
    `${where.processors}, backend on ${comparison.backend}, \`${where.v8Flags}\`. ` +
    `Medians of ${effort.rounds} rounds of ${effort.seconds} s; in brackets the least and the most.`,
    comparisonTable(comparison),
    ...refusals.length === 0 ? [] : [refusals.join("\n")],
  ].join("\n\n");
  console.log(report);
  if (values.json !== undefined) {
    const figures = { where, effort, ...comparison, refusals };
    await Deno.writeTextFile(values.json, `${JSON.stringify(figures, undefined, 1)}\n`);
  }
  if (!values["write-docs"]) return;
  await writeSection(`${ROOT}docs/performance.md`, "bench", report);
  const plot = plotGrowth(comparison.figures);
  if (plot !== undefined) await writeFormatted(`${ROOT}docs/images/cost.svg`, plot);
}

await main();
