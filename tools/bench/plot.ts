import { type Area, type Colour, gridLine, path, svg, text } from "../plot/svg.ts";
import type { Figures } from "./compare.ts";
import { GROUPS, type Row } from "./rows.ts";

const SIZE = { width: 760, height: 330 };
const TOP = 62;
const BOTTOM = 278;

/** Those that may take part, in the order in which the legend has them. */
const COLOURS: readonly Colour[] = [
  { className: "floor", light: "#6e7781", dark: "#909dab" },
  { className: "rpc", light: "#0969da", dark: "#539bf5" },
  { className: "shared", light: "#1a7f37", dark: "#57ab5a" },
  { className: "grpc-js", light: "#bc4c00", dark: "#f0883e" },
];

/** Each of `--beside`. */
const BESIDE: Omit<Colour, "className"> = { light: "#8250df", dark: "#b083f0" };

/** One half of the picture: the rows that differ in one number alone. */
interface Panel {
  readonly area: Area;
  readonly name: string;
  readonly rows: readonly Row[];
  x(row: Row): number;
}

const PANELS: readonly Panel[] = [
  {
    area: { left: 52, right: 376, top: TOP, bottom: BOTTOM },
    name: "HAProxy's connections at once, one for each check",
    rows: rowsNamed("fresh-"),
    x: ({ atOnce }) => atOnce,
  },
  {
    area: { left: 424, right: 728, top: TOP, bottom: BOTTOM },
    name: "backends, 16 connections at once",
    rows: rowsNamed("targets-"),
    x: ({ targets }) => targets,
  },
];

/** What may stand at the scale of the processor time, in microseconds. */
const TICKS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/**
 * Draws how the processor time of a check grows with the clients and with the backends, both scales
 * logarithmic.
 *
 * @returns an SVG for light and dark pages; undefined where a row is missing that it is made of
 */
export function plotGrowth(figures: readonly Figures[]): string | undefined {
  const names = new Set(figures.map(({ row }) => row));
  if (PANELS.some(({ rows }) => rows.some(({ name }) => !names.has(name)))) return undefined;
  const own = PANELS.flatMap(({ rows }) => rows.map(({ name }) => name));
  const drawn = figures.filter(({ row, subject }) =>
    own.includes(row) && !subject.endsWith("default")
  );
  const subjects = [...new Set(drawn.map(({ subject }) => subject))];
  const beside = subjects.filter((name) => COLOURS.every(({ className }) => className !== name));
  const colours = [...COLOURS, ...beside.map((className) => ({ className, ...BESIDE }))]
    .filter(({ className }) => subjects.includes(className));
  const scale = scaleOf(drawn.map(({ cpuUs }) => cpuUs));
  const title = "Processor time a check by the number of connections and of backends";
  return svg(SIZE, title, colours, [
    text(PANELS[0]?.area.left ?? 0, 18, "µs of processor time a check", "start"),
    ...legend(colours, drawn),
    ...PANELS.flatMap((panel) => [
      ...grid(panel, scale),
      ...colours.flatMap(({ className }) => line(panel, scale, className, drawn)),
    ]),
  ]);
}

function rowsNamed(prefix: string): Row[] {
  return GROUPS.flat().filter(({ name }) => name.startsWith(prefix));
}

function legend(colours: readonly Colour[], figures: readonly Figures[]): string[] {
  const left = PANELS[0]?.area.left ?? 0;
  const width = (SIZE.width - left) / colours.length;
  return colours.map(({ className }, index) => {
    const title = figures.find(({ subject }) => subject === className)?.title ?? className;
    const plain = title.replaceAll("`", "");
    return text(left + index * width, 42, plain, "start", className);
  });
}

/** Ticks from below the least value to above the greatest. */
function scaleOf(values: readonly number[]): readonly number[] {
  const from = TICKS.findLastIndex((tick) => tick <= Math.min(...values));
  const to = TICKS.findIndex((tick) => tick >= Math.max(...values));
  return TICKS.slice(Math.max(0, from), to < 0 ? TICKS.length : to + 1);
}

/** @returns where a value lies between two others on a logarithmic scale, 0 to 1 */
function share(value: number, from: number, to: number): number {
  return Math.log(value / from) / Math.log(to / from);
}

function yOf({ top, bottom }: Area, scale: readonly number[], value: number): number {
  return bottom - share(value, scale[0] ?? 1, scale.at(-1) ?? 1) * (bottom - top);
}

function xOf({ area, rows, x }: Panel, row: Row): number {
  const values = rows.map(x);
  return area.left +
    share(x(row), Math.min(...values), Math.max(...values)) * (area.right - area.left);
}

function grid(panel: Panel, scale: readonly number[]): string[] {
  const { area, name, rows, x } = panel;
  return [
    ...scale.flatMap((tick) => {
      const y = Math.round(yOf(area, scale, tick));
      return [gridLine(area, y), text(area.left - 8, y + 4, tick.toLocaleString("en"), "end")];
    }),
    ...rows.map((row) =>
      text(Math.round(xOf(panel, row)), area.bottom + 18, x(row).toLocaleString("en"), "middle")
    ),
    text((area.left + area.right) / 2, area.bottom + 38, name, "middle"),
  ];
}

function line(
  panel: Panel,
  scale: readonly number[],
  subject: string,
  figures: readonly Figures[],
): string[] {
  const points = panel.rows.flatMap((row) => {
    const figure = figures.find((each) => each.row === row.name && each.subject === subject);
    if (figure === undefined) return [];
    return [[xOf(panel, row), yOf(panel.area, scale, figure.cpuUs)] as const];
  });
  return points.length === 0 ? [] : [path(subject, points)];
}
