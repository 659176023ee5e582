import { status } from "@grpc/grpc-js";
import type { Verdict } from "./verdict.ts";

/** How an RPC ended: what the backend said, or the RPC's status. */
export type RpcOutcome =
  | { readonly ok: true; readonly status: string }
  | {
    readonly ok: false;
    readonly code: status;
    readonly detail: string;
    /** Whether its deadline passed. */
    readonly timedOut: boolean;
    /** Whether the connection was lost with it. */
    readonly connectionLost: boolean;
  };

/** Codes that only a server gives: the connection that brought one is sound. */
const CODES_OF_SERVERS: ReadonlySet<status> = new Set([
  status.NOT_FOUND,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.UNIMPLEMENTED,
]);

/** Whether the backend has said something itself, be it that it cannot say more. */
export function isWordOfBackend(outcome: RpcOutcome): boolean {
  return outcome.ok || CODES_OF_SERVERS.has(outcome.code);
}

/** @returns what the status of a health reply means */
export function verdictOfStatus(status: string): Verdict {
  return status === "SERVING" ? { kind: "serving" } : { kind: "not_serving", status };
}

/** @returns what the end of an RPC means */
export function verdictOf(outcome: RpcOutcome): Verdict {
  if (outcome.ok) return verdictOfStatus(outcome.status);
  const { code, detail, timedOut, connectionLost } = outcome;
  if (timedOut) return { kind: "timeout", detail: "The RPC did not end in time" };
  if (connectionLost) return { kind: "unreachable", detail };
  return { kind: "rpc", code: status[code] ?? String(code), detail };
}
