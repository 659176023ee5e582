import type { Verdict } from "../check/verdict.ts";

/** The word for HAProxy. Never `ready`: it would undo an operator's maintenance. */
export type Reply = "up" | "down";

/** @returns what a verdict means to HAProxy: SERVING is `up`, everything else `down` */
export function replyTo(verdict: Verdict): Reply {
  switch (verdict.kind) {
    case "serving":
      return "up";
    case "not_serving":
    case "unreachable":
    case "timeout":
    case "tls":
    case "dns":
    case "rpc":
    case "denied":
    case "internal":
      return "down";
  }
}
