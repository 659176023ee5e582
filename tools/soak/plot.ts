import type { Sample } from "./samples.ts";

const SIZE = { width: 760, height: 300 };

/** Where the lines are, inside of the labels. */
const AREA = { left: 56, right: 700, top: 34, bottom: 256 };

/** Points of a line; more would not be seen. */
const POINTS = 320;

/** What may lie between two labels of the time, in minutes. */
const MINUTE_STEPS = [0.25, 0.5, 1, 2, 5, 10, 15, 30];

interface Line {
  readonly name: string;
  readonly className: string;
  readonly values: readonly number[];
  /** The value at the top of the plot. */
  readonly top: number;
}

/** Draws memory and descriptors over the time of a soak, as an SVG for light and dark pages. */
export function plotSamples(samples: readonly Sample[]): string {
  const seconds = samples.at(-1)?.second ?? 1;
  const memory = samples.map(({ residentMb }) => residentMb);
  const descriptors = samples.map((sample) => sample.descriptors);
  const lines: Line[] = [
    { name: "memory (MB)", className: "memory", values: memory, top: roundUp(memory) },
    {
      name: "descriptors",
      className: "descriptors",
      values: descriptors,
      top: roundUp(descriptors),
    },
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" \
font-family="system-ui, sans-serif" font-size="12" role="img">
<title>Resident memory and open descriptors of the agent during the soak</title>
<style>
  text { fill: #444c56 } .grid { stroke: #8b949e; stroke-opacity: .35 }
  path { fill: none; stroke-width: 1.5; stroke-linejoin: round }
  .memory { stroke: #0969da } text.memory { fill: #0969da; stroke: none }
  .descriptors { stroke: #bc4c00 } text.descriptors { fill: #bc4c00; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #adbac7 }
    .memory { stroke: #539bf5 } text.memory { fill: #539bf5 }
    .descriptors { stroke: #f0883e } text.descriptors { fill: #f0883e }
  }
</style>
${grid(lines, seconds)}
${lines.map((line) => path(line, samples, seconds)).join("\n")}
</svg>
`;
}

function grid([left, right]: readonly Line[], seconds: number): string {
  const parts = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => {
    const y = AREA.bottom - share * (AREA.bottom - AREA.top);
    return [
      `<line class="grid" x1="${AREA.left}" x2="${AREA.right}" y1="${y}" y2="${y}"/>`,
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
  return parts.join("\n");
}

function path({ className, values, top }: Line, samples: readonly Sample[], seconds: number) {
  const step = Math.max(1, Math.ceil(values.length / POINTS));
  const points: string[] = [];
  for (let index = 0; index < values.length; index += step) {
    // Of the samples of a point the highest, so that no peak is lost.
    const value = Math.max(...values.slice(index, index + step));
    const x = AREA.left + (samples[index]?.second ?? 0) / seconds * (AREA.right - AREA.left);
    const y = AREA.bottom - value / top * (AREA.bottom - AREA.top);
    points.push(`${x.toFixed(1)},${y.toFixed(1)}`);
  }
  return `<path class="${className}" d="M${points.join("L")}"/>`;
}

function text(x: number, y: number, content: string, anchor: string, className = ""): string {
  const style = className === "" ? "" : ` class="${className}"`;
  return `<text${style} x="${x}" y="${y}" text-anchor="${anchor}">${content}</text>`;
}

function label(value: number): string {
  return value >= 10 ? value.toFixed(0) : String(Number(value.toFixed(1)));
}

/** A number above all values whose quarters are whole. */
function roundUp(values: readonly number[]): number {
  return Math.ceil(Math.max(1, ...values) * 1.05 / 20) * 20;
}
