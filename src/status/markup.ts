/** Text that is HTML already, and is not escaped again. */
export class Html {
  constructor(readonly text: string) {}
}

/** What can stand in HTML: text and numbers are escaped, HTML is taken as it is. */
export type HtmlPart = string | number | Html | readonly Html[];

/**
 * Writes HTML: whatever stands in `${}` is escaped unless it was written by this function itself. Made
 * for element content and for attribute values in double quotes; nothing else may hold a value. (Named
 * `html`, `deno fmt` would lay the document out, blanks and line ends that show included.)
 *
 * @example
 * ```ts
 * import { markup } from "./markup.ts";
 *
 * markup`<b title="${'"'}">${"<&"}</b>`.text; // <b title="&quot;">&lt;&amp;</b>
 * ```
 */
export function markup(strings: TemplateStringsArray, ...parts: HtmlPart[]): Html {
  let text = strings[0] ?? "";
  for (let index = 0; index < parts.length; index++) {
    text += textOf(parts[index] ?? "") + (strings[index + 1] ?? "");
  }
  return new Html(text);
}

function textOf(part: HtmlPart): string {
  if (typeof part === "number") return String(part);
  if (typeof part === "string") return escapeHtml(part);
  return part instanceof Html ? part.text : part.map(({ text }) => text).join("");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Texts that need no escaping: nearly all of the ten thousand on a page, so they are passed on quickly. */
const HARMLESS = /^[A-Za-z0-9 ._:,()/=#-]*$/;

/**
 * @returns the text for element content and quoted attribute values; characters that are not seen (line
 * ends, controls, those that turn the direction of writing) show as a replacement character
 */
export function escapeHtml(text: string): string {
  if (HARMLESS.test(text)) return text;
  return text
    .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, "\ufffd");
}
