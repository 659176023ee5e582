import type { Failure } from "./backend_history.ts";

/** What failed, and what to look at: the words of the log, of the status page and of docs/operations.md. */
export const ADVICE: Readonly<Record<Failure["type"], string>> = {
  backend_unreachable: "Backend unreachable: is it listening there, and does it speak gRPC?",
  timeout: "Backend did not answer in time: is it overloaded, frozen, or behind a firewall?",
  tls: "TLS to the backend failed: look at its certificate, and at tls_ca_file",
  dns: "Backend's name does not resolve: look at the name and at the resolver of this machine",
  rpc: "Health RPC failed: does the backend serve grpc.health.v1.Health, and know the service?",
  denied: "Target denied: if it is meant to be checked, add it to allow_backends",
  internal: "A bug in the agent ended a check: its log has the stack",
  local: "The agent could not ask: its log says what it lacks",
  not_serving:
    "The backend was reached and does not call itself healthy: look at the backend itself",
};

/**
 * @param ageMs from the line to the hang-up, in milliseconds
 * @returns what to do about a client that does not wait for its answer
 */
export function adviseOnHangUp(ageMs: number): string {
  return `HAProxy hung up after ${Math.round(ageMs)} ms, before the answer; ` +
    "lower check_timeout_ms below it, or raise agent-inter or timeout check";
}
