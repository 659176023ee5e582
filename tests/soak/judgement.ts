import type { Change } from "./timeline.ts";

/** One line and what came of it; times in milliseconds of `performance.now()`. */
export interface Answer {
  /** When the line was written. */
  readonly sentAt: number;
  /** When the reply was read, or the asker has given up. */
  readonly receivedAt: number;
  /** The reply with its line end; `undefined` when there was none. */
  readonly reply: string | undefined;
}

/** How strictly answers are judged, in milliseconds. */
export interface Bounds {
  /** The agent's `check_timeout_ms`. */
  readonly deadlineMs: number;
  /** What an answer may take longer, because the asker has to send the line and to read the reply. */
  readonly graceMs: number;
  /** How long before the line a state may have ended and still be answered. */
  readonly lookBackMs: number;
}

/** What an answer is worth. */
export type Judgement =
  /** The backend was in the state that it says. */
  | "right"
  /** It says another state, but the backend was changing: either answer may be right. */
  | "unclear"
  /** The backend was not in this state while the check was under way. */
  | "wrong"
  /** It says the right thing too late. */
  | "late"
  /** Late, but only by the time in which the asker itself did not run. */
  | "asker_stalled"
  /** Late, or a timeout, because the machine gave the agent no core. */
  | "agent_starved"
  /** No answer. */
  | "missing";

/** The instants whose states a check may answer with. */
export function instantsOf(
  { sentAt, receivedAt }: Answer,
  { lookBackMs }: Bounds,
): [number, number] {
  return [sentAt - lookBackMs, receivedAt];
}

/** What kept the two processes that measure and are measured from running, in milliseconds. */
export interface Delays {
  /** How long the asker itself did not run between the deadline and the reply. */
  readonly stalledMs: number;
  /** How long the agent was ready to run while it was asked, and had no core. */
  readonly agentWaitedMs: number;
}

/**
 * A timeout says more of the machine than of the backend where the agent had no core for longer than this, in
 * milliseconds: half of what making a connection may take.
 */
const STARVED_MS = 500;

/**
 * Judges an answer.
 *
 * @param states those of the instants that {@linkcode instantsOf} gives
 */
export function judge(
  answer: Answer,
  states: readonly Change[],
  bounds: Bounds,
  { stalledMs, agentWaitedMs }: Delays,
): Judgement {
  const word = wordOf(answer.reply);
  if (answer.reply === undefined) return "missing";
  const right = states.some(({ state }) => state === word);
  const unclear = word !== undefined && states.some(({ state }) => state === "either");
  if (!right && !unclear) {
    const timedOut = answer.reply.startsWith("down #timeout:");
    return timedOut && agentWaitedMs > STARVED_MS ? "agent_starved" : "wrong";
  }
  const over = answer.receivedAt - answer.sentAt - bounds.deadlineMs - bounds.graceMs;
  if (over > 0) {
    if (over <= stalledMs) return "asker_stalled";
    return over <= stalledMs + agentWaitedMs ? "agent_starved" : "late";
  }
  return right ? "right" : "unclear";
}

/** @returns the word of a reply, or `undefined` when it is none that this agent should say */
export function wordOf(reply: string | undefined): "up" | "down" | undefined {
  const [, word] = /^(up|down)(?: #[\x20-\x7e]*)?\n$/.exec(reply ?? "") ?? [];
  return word === "up" || word === "down" ? word : undefined;
}
