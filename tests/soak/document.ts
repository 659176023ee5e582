import { writeSection } from "../../tools/write_section.ts";
import { ROOT } from "../lab/testing/repository.ts";
import { type Figure, figuresOfAnswers, figuresOfRun } from "./figures.ts";
import { plotSamples } from "./plot.ts";
import type { FaultCount, SoakResult } from "./result.ts";

const DOCUMENT = `${ROOT}docs/reliability.md`;
const PLOT = `${ROOT}docs/images/soak-memory.svg`;

/**
 * Puts a result into docs/reliability.md, in place of the one before, and draws its plot.
 *
 * @throws {Error} when the document has lost its markers
 */
export async function writeDocuments(result: SoakResult): Promise<void> {
  await Deno.writeTextFile(PLOT, plotSamples(result.samples));
  await writeSection(DOCUMENT, "soak", formatSection(result));
}

function formatSection(result: SoakResult): string {
  return [
    table([["the run", ""], ...figuresOfRun(result)]),
    table([["the result", ""], ...figuresOfAnswers(result)]),
    "![Memory and descriptors over the time of the soak](images/soak-memory.svg)",
    "What happened to the backends, by what a check must say meanwhile:",
    ...Array.from(
      Map.groupBy(result.faults, ({ truth }) => truth),
      ([truth, faults]) => `- **${truth}**: ${faults.map(formatFault).join("; ")}`,
    ),
  ].join("\n\n");
}

function table(rows: readonly Figure[]): string {
  const [head, ...rest] = rows.map(([name, value]) => `| ${name} | ${value} |`);
  return [head, "| --- | --- |", ...rest].join("\n");
}

function formatFault({ name, times }: FaultCount): string {
  return `${name} (${times})`;
}
