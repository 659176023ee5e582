import { type BackendVerdict, describeVerdict, errorType } from "./verdict.ts";

/** Values of `not_serving_reply`: the state of a backend that says NOT_SERVING of itself. */
export const NOT_SERVING_REPLIES = ["down", "drain", "maint"] as const;

/** A value of `not_serving_reply`. */
export type NotServingReply = (typeof NOT_SERVING_REPLIES)[number];

/** What an agent can say of a server to HAProxy. */
export const AGENT_STATES = ["up", ...NOT_SERVING_REPLIES] as const;

/** What HAProxy is told of a backend. */
export type AgentState = (typeof AGENT_STATES)[number];

/** How replies are written. */
export interface ReplyOptions {
  readonly notServingReply: NotServingReply;
  /** Whether the reason is added, which HAProxy shows in its statistics and its log. */
  readonly reason: boolean;
}

/** HAProxy cuts what it shows at 127 bytes, its own words included. */
const MAX_LINE_BYTES = 100;

/** @returns what a verdict by itself means to HAProxy: SERVING is up, everything else is not */
export function stateFor(verdict: BackendVerdict, notServingReply: NotServingReply): AgentState {
  switch (verdict.kind) {
    case "serving":
      return "up";
    case "not_serving":
      return verdict.status === "NOT_SERVING" ? notServingReply : "down";
    case "unreachable":
    case "timeout":
    case "tls":
    case "dns":
    case "rpc":
    case "denied":
      return "down";
  }
}

/**
 * Writes the reply line.
 *
 * `drain` and `maint` stick in HAProxy until it hears `ready`, so where they can be said, each good answer
 * says the full state, `up ready`. Otherwise never `ready`: it would undo an operator's maintenance.
 *
 * @param state what is said of the backend
 * @param note what damping makes of it, for the reason: `1 of 3 failures`; may be empty
 * @returns the line with its newline
 */
export function formatReply(
  state: AgentState,
  verdict: BackendVerdict,
  note: string,
  { notServingReply, reason }: ReplyOptions,
): string {
  const words = state === "up" && notServingReply !== "down" ? "up ready" : state;
  const text = reason ? [note, explain(verdict)].filter((part) => part !== "").join(": ") : "";
  return lineOf(words, text);
}

/** Writes the reply to a line that is no request, for the reason given. */
export function formatRefusal(mistake: string, { reason }: Pick<ReplyOptions, "reason">): string {
  return lineOf("down", reason ? `parse_error: ${mistake}` : "");
}

/** HAProxy takes `down#reason` for one unknown word: the blank before # is needed. */
function lineOf(words: string, reason: string): string {
  return reason === ""
    ? `${words}\n`
    : `${`${words} #${printable(reason)}`.slice(0, MAX_LINE_BYTES)}\n`;
}

function explain(verdict: BackendVerdict): string {
  const type = errorType(verdict);
  if (type === undefined) return describeVerdict(verdict);
  // "denied" says it all.
  return type === "denied" ? type : `${type}: ${describeVerdict(verdict)}`;
}

/** HAProxy puts the text into its CSV and JSON without escaping quotes and backslashes. */
function printable(text: string): string {
  return text.replace(/["\\]/g, "'").replace(/[^\x20-\x7e]+/g, " ");
}
