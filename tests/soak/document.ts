import { type Area, type Colour, gridLine, path, svg, text } from "../../tools/plot/svg.ts";
import { writeFormatted, writeSection } from "../../tools/write_section.ts";
import { ROOT } from "../lab/testing/repository.ts";
import {
  type FaultCount,
  type Figure,
  figuresOfAnswers,
  figuresOfRun,
  type SoakResult,
} from "./report.ts";
import type { Sample } from "./samples.ts";

const DOCUMENT = `${ROOT}docs/reliability.md`;
const PLOT = `${ROOT}docs/images/soak-memory.svg`;

/**
 * Puts a result into docs/reliability.md, in place of the one before, and draws its plot.
 *
 * @throws {Error} when the document has lost its markers
 */
export async function writeDocuments(result: SoakResult): Promise<void> {
  await writeFormatted(PLOT, plotSamples(result.samples));
  await writeSection(DOCUMENT, "soak", formatSection(result));
}

function formatSection(result: SoakResult): string {
  return [
    table([["the run", ""], ...figuresOfRun(result)]),
    table([["the result", ""], ...figuresOfAnswers(result)]),
    "![Memory and descriptors over the time of the soak](images/soak-memory.svg)",
    "What happened to the backends, by what a check must say meanwhile:",
    ...Array.from(
      Map.groupBy(result.faults, ({ expected }) => expected),
      ([expected, faults]) => `- **${expected}**: ${faults.map(formatFault).join("; ")}`,
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

const SIZE = { width: 760, height: 300 };

/** Where the lines are, inside of the labels. */
const AREA: Area = { left: 56, right: 700, top: 34, bottom: 256 };

/** Points of a line; more would not be seen. */
const POINTS = 320;

/** The steps from one label of the time axis to the next, in minutes; the smallest that fits is taken. */
const MINUTE_STEPS = [0.25, 0.5, 1, 2, 5, 10, 15, 30];

const MEMORY: Colour = { className: "memory", light: "#0969da", dark: "#539bf5" };
const DESCRIPTORS: Colour = { className: "descriptors", light: "#bc4c00", dark: "#f0883e" };

interface Line {
  readonly name: string;
  readonly className: string;
  readonly values: readonly number[];
  /** The value at the top of the plot. */
  readonly top: number;
}

/** Draws memory and descriptors over the time of a soak, as an SVG for light and dark pages. */
function plotSamples(samples: readonly Sample[]): string {
  const seconds = samples.at(-1)?.second ?? 1;
  const memory = samples.map(({ residentMb }) => residentMb);
  const descriptors = samples.map((sample) => sample.descriptors);
  const lines: Line[] = [
    { ...MEMORY, name: "memory (MB)", values: memory, top: roundUp(memory) },
    { ...DESCRIPTORS, name: "descriptors", values: descriptors, top: roundUp(descriptors) },
  ];
  const title = "Resident memory and open descriptors of the agent during the soak";
  return svg(SIZE, title, [MEMORY, DESCRIPTORS], [
    ...grid(lines, seconds),
    ...lines.map((line) => path(line.className, points(line, samples, seconds))),
  ]);
}

function grid([left, right]: readonly Line[], seconds: number): string[] {
  const parts = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => {
    const y = AREA.bottom - share * (AREA.bottom - AREA.top);
    return [
      gridLine(AREA, y),
      text(AREA.left - 8, y + 4, label(share * (left?.top ?? 0)), "end", left?.className),
      text(AREA.right + 8, y + 4, label(share * (right?.top ?? 0)), "start", right?.className),
    ];
  });
  const step = MINUTE_STEPS.find((step) => seconds / 60 / step < 8) ?? 60;
  for (let minute = 0; minute <= seconds / 60; minute += step) {
    const x = AREA.left + minute * 60 / seconds * (AREA.right - AREA.left);
    parts.push(text(Math.round(x), AREA.bottom + 18, label(minute), "middle"));
  }
  parts.push(text((AREA.left + AREA.right) / 2, AREA.bottom + 36, "minutes", "middle"));
  parts.push(text(AREA.left, 18, left?.name ?? "", "start", left?.className));
  parts.push(text(AREA.right, 18, right?.name ?? "", "end", right?.className));
  return parts;
}

function points({ values, top }: Line, samples: readonly Sample[], seconds: number) {
  const step = Math.max(1, Math.ceil(values.length / POINTS));
  const points: [number, number][] = [];
  for (let index = 0; index < values.length; index += step) {
    // Of the samples of a point the highest, so that no peak is lost.
    const value = Math.max(...values.slice(index, index + step));
    const x = AREA.left + (samples[index]?.second ?? 0) / seconds * (AREA.right - AREA.left);
    points.push([x, AREA.bottom - value / top * (AREA.bottom - AREA.top)]);
  }
  return points;
}

function label(value: number): string {
  return value >= 10 ? value.toFixed(0) : String(Number(value.toFixed(1)));
}

/** A number above all values whose quarters are whole. */
function roundUp(values: readonly number[]): number {
  return Math.ceil(Math.max(1, ...values) * 1.05 / 20) * 20;
}
