import { get } from "node:http";
import { connect } from "node:net";
import type { Settings } from "../config/settings.ts";
import { formatHostPort, loopbackOf } from "../protocol/host.ts";

/** How long the running agent may take, in milliseconds: shorter than any supervisor's patience. */
const TIMEOUT_MS = 2000;

/** Whether the agent takes checks, and what is to be printed of it. */
export interface Readiness {
  readonly ready: boolean;
  readonly text: string;
}

/**
 * Asks the agent that runs on this machine with the same settings whether it takes checks: for supervisors
 * that can only run a program, such as a container's health check. Without `metrics_enabled` an agent port
 * that can be connected to is the answer.
 */
export async function askWhetherReady(settings: Settings): Promise<Readiness> {
  const [host = "", port, ask] = settings.metrics_enabled
    ? [settings.metrics_bind_address, settings.metrics_port, readyz] as const
    : [settings.server_bind_address[0], settings.server_port, accepts] as const;
  const reachable = loopbackOf(host);
  const { ready, text } = await ask(reachable, port);
  return { ready, text: ready ? text : `${formatHostPort(reachable, port)}: ${text}` };
}

function readyz(host: string, port: number): Promise<Readiness> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const fail = (error: Error) => resolve({ ready: false, text: failureOf(error, signal) });
    const request = get({ host, port, path: "/readyz", agent: false, signal }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => text += chunk);
      response.on("end", () => resolve({ ready: response.statusCode === 200, text: text.trim() }));
      response.on("error", fail);
    });
    request.on("error", fail);
  });
}

function accepts(host: string, port: number): Promise<Readiness> {
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const socket = connect({ host, port, signal });
    socket.on("error", (error) => resolve({ ready: false, text: failureOf(error, signal) }));
    socket.on("connect", () => {
      socket.destroy();
      resolve({ ready: true, text: "ready" });
    });
  });
}

function failureOf(error: Error, signal: AbortSignal): string {
  return signal.aborted ? `no answer within ${TIMEOUT_MS} ms` : error.message;
}
