/** A line's colour on light and on dark pages. */
export interface Colour {
  /** What the line and the text about it are marked with. */
  readonly className: string;
  readonly light: string;
  readonly dark: string;
}

/** Where something is drawn, in pixels from the upper left corner. */
export interface Area {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** @returns an SVG for light and dark pages */
export function svg(
  size: { readonly width: number; readonly height: number },
  title: string,
  colours: readonly Colour[],
  parts: readonly string[],
): string {
  const both = (name: string, colour: string) =>
    `.${name} { stroke: ${colour} } text.${name} { fill: ${colour}; stroke: none }`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" \
font-family="system-ui, sans-serif" font-size="12" role="img">
<title>${title}</title>
<style>
  text { fill: #444c56 } .grid { stroke: #8b949e; stroke-opacity: .35 }
  path { fill: none; stroke-width: 1.5; stroke-linejoin: round }
${colours.map(({ className, light }) => `  ${both(className, light)}`).join("\n")}
  @media (prefers-color-scheme: dark) {
    text { fill: #adbac7 }
${colours.map(({ className, dark }) => `    ${both(className, dark)}`).join("\n")}
  }
</style>
${parts.join("\n")}
</svg>
`;
}

/** @returns a horizontal line of the grid */
export function gridLine({ left, right }: Area, y: number): string {
  return `<line class="grid" x1="${left}" x2="${right}" y1="${y}" y2="${y}"/>`;
}

/** @returns the line through the points */
export function path(className: string, points: readonly (readonly [number, number])[]): string {
  const places = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`);
  return `<path class="${className}" d="M${places.join("L")}"/>`;
}

/** @param anchor which end of the text is at `x` */
export function text(
  x: number,
  y: number,
  content: string,
  anchor: "start" | "middle" | "end",
  className = "",
): string {
  const style = className === "" ? "" : ` class="${className}"`;
  return `<text${style} x="${x}" y="${y}" text-anchor="${anchor}">${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
