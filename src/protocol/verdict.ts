import { stackOf } from "../describe_error.ts";

/** How a check ended: what the backend said of itself, or why nothing was heard. */
export type Verdict =
  /** The backend said SERVING. */
  | { readonly kind: "serving" }
  /** The backend said something else: NOT_SERVING, UNKNOWN, SERVICE_UNKNOWN, or a bare number. */
  | { readonly kind: "not_serving"; readonly status: string }
  /** No connection (refused, reset, unroutable), or the peer speaks no HTTP/2. */
  | { readonly kind: "unreachable"; readonly detail: string }
  /** No answer in time, in any phase. */
  | { readonly kind: "timeout"; readonly detail: string }
  /** The TLS handshake failed, or the certificate is not accepted. */
  | { readonly kind: "tls"; readonly detail: string }
  /** The name does not resolve. */
  | { readonly kind: "dns"; readonly detail: string }
  /** The RPC ended with a status other than OK. */
  | { readonly kind: "rpc"; readonly code: string; readonly detail: string }
  /** The configuration does not allow this target. */
  | { readonly kind: "denied" }
  | AgentFailure;

/** The agent could not find out. That says nothing of the backend: a `down` might take a healthy one out. */
export type AgentFailure =
  /** A bug in the agent. */
  | { readonly kind: "internal"; readonly error: unknown }
  /** The agent lacked something that no destination can cause: a descriptor, a local port, time. */
  | { readonly kind: "local"; readonly detail: string };

/** A verdict that says something of the backend. */
export type BackendVerdict = Exclude<Verdict, AgentFailure>;

/** Whether a verdict says nothing of the backend. */
export function isAgentFailure(verdict: Verdict): verdict is AgentFailure {
  return verdict.kind === "internal" || verdict.kind === "local";
}

/** Every value of `error_type`, so that a metric can show them all at 0 from the start. */
export const ERROR_TYPES = [
  "backend_unreachable",
  "timeout",
  "tls",
  "dns",
  "rpc",
  "denied",
  "parse_error",
  "internal",
  "local",
] as const;

/** The `error_type` label of a check without a word from the backend. */
export type ErrorType = (typeof ERROR_TYPES)[number];

/** What a kind of verdict means, beyond what it says. */
interface Meaning {
  /** Its `error_type`; `undefined` where the backend itself has spoken. */
  readonly errorType: Exclude<ErrorType, "parse_error"> | undefined;
  /** Whether a single one takes the backend down, whatever `fall` says. */
  readonly countsAtOnce: boolean;
  /** Whether it may answer a later check too (`verdict_max_age_ms`). */
  readonly mayServeAgain: boolean;
}

// deno-fmt-ignore
const MEANINGS: Readonly<Record<Verdict["kind"], Meaning>> = {
  serving:     { errorType: undefined,             countsAtOnce: false, mayServeAgain: true },
  not_serving: { errorType: undefined,             countsAtOnce: true,  mayServeAgain: true },
  unreachable: { errorType: "backend_unreachable", countsAtOnce: false, mayServeAgain: true },
  timeout:     { errorType: "timeout",             countsAtOnce: false, mayServeAgain: true },
  tls:         { errorType: "tls",                 countsAtOnce: false, mayServeAgain: true },
  dns:         { errorType: "dns",                 countsAtOnce: false, mayServeAgain: true },
  rpc:         { errorType: "rpc",                 countsAtOnce: false, mayServeAgain: true },
  denied:      { errorType: "denied",              countsAtOnce: true,  mayServeAgain: false },
  internal:    { errorType: "internal",            countsAtOnce: false, mayServeAgain: false },
  local:       { errorType: "local",               countsAtOnce: false, mayServeAgain: false },
};

/** @returns what a kind of verdict means, beyond what it says */
export function meaningOf({ kind }: Verdict): Meaning {
  return MEANINGS[kind];
}

/** @returns the `error_type` of a verdict, or `undefined` where the backend itself has spoken */
export function errorType(verdict: Verdict): Meaning["errorType"] {
  return meaningOf(verdict).errorType;
}

/** @returns what there is to say of a verdict beyond its kind, for people; empty for SERVING */
export function describeVerdict(verdict: Verdict): string {
  switch (verdict.kind) {
    case "serving":
      return "";
    case "not_serving":
      return verdict.status;
    case "unreachable":
    case "timeout":
    case "tls":
    case "dns":
    case "local":
      return verdict.detail;
    case "rpc":
      return verdict.detail === "" ? verdict.code : `${verdict.code}: ${verdict.detail}`;
    case "denied":
      return "The target is not in allow_backends";
    case "internal":
      return stackOf(verdict.error);
  }
}

/** An error is kept up to this many characters: a backend may say as much as it likes. */
const MAX_KEPT_LENGTH = 300;

/**
 * @param before the text kept so far
 * @returns a text to keep beyond its check: the same object as before where nothing has changed
 */
export function keptText(text: string, before?: string): string {
  if (text.length > MAX_KEPT_LENGTH) return copyOf(text.slice(0, MAX_KEPT_LENGTH)) + "…";
  return text === before ? before : copyOf(text);
}

/** @returns a verdict to keep beyond its check */
export function keptVerdict<Kept extends Verdict>(verdict: Kept): Kept {
  return "detail" in verdict ? { ...verdict, detail: keptText(verdict.detail) } : verdict;
}

/** A substring keeps its whole string alive in V8; a copy does not. */
function copyOf(text: string): string {
  return ` ${text}`.slice(1);
}
