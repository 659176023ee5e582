// What an installation is: size, start-up, memory at 100 checks/s: `deno task measure`.

import { parseArgs } from "node:util";
import { surroundings } from "../tests/lab/machine/surroundings.ts";
import { ROOT } from "../tests/lab/testing/repository.ts";
import { measureStartUp } from "./bench/start_up.ts";
import { measureSteady } from "./bench/steady.ts";
import { writeSection } from "./write_section.ts";

/** What can be installed, as far as it was built. */
const FILES = [
  ["the executable (deno task compile)", `${ROOT}dist/haproxy-grpc-agent`],
  ["the bundle (deno task bundle)", `${ROOT}dist/bundle/haproxy-grpc-agent.mjs`],
  ["Deno, which runs the bundle", Deno.execPath()],
] as const;

const { values } = parseArgs({ options: { "write-docs": { type: "boolean", default: false } } });
const { agent, deno, processors } = surroundings();
const { idle, after } = await measureSteady(20);
const rows = [
  ...FILES.flatMap(([name, path]) => [
    [`size of ${name}`, sizeOf(path)],
    [`compressed (xz -6)`, compressedSizeOf(path)],
  ]),
  ["start to first accept", `${(await measureStartUp()).toFixed(0)} ms, median of 10`],
  ["VmRSS before the first check", `${idle.resident.toFixed(0)} MB`],
  [
    "VmRSS after 20 s at 100 checks/s",
    `${after.resident.toFixed(0)} MB (peak ${after.peak.toFixed(0)}), of it ` +
    `${after.anonymous.toFixed(0)} anonymous and ${after.file.toFixed(0)} of files`,
  ],
];
const report = [
  `${new Date().toISOString().slice(0, 10)}, ${agent}, Deno ${deno}, ${processors}`,
  ["| figure | measured |", "| --- | --- |", ...rows.map((row) => `| ${row.join(" | ")} |`)]
    .join("\n"),
].join("\n\n");
console.log(report);
if (values["write-docs"]) await writeSection(`${ROOT}docs/performance.md`, "measure", report);

function sizeOf(path: string): string {
  try {
    return megabytes(Deno.statSync(path).size);
  } catch {
    return "not built";
  }
}

function compressedSizeOf(path: string): string {
  try {
    const { success, stdout } = new Deno.Command("xz", {
      args: ["-6", "--threads=2", "--keep", "--stdout", path],
      stderr: "null",
    }).outputSync();
    return success ? megabytes(stdout.length) : "not built";
  } catch {
    return "no xz here";
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
