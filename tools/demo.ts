// Two gRPC backends, the agent and a real HAProxy that asks it: `deno task demo`.

import { setTimeout as pause } from "node:timers/promises";
import { startAgent } from "../tests/lab/agent/agent_process.ts";
import { startHealthBackend } from "../tests/lab/backends/libraries/health_backend.ts";
import { findAnyHaproxy } from "../tests/lab/haproxy/find_haproxy.ts";
import { Haproxy } from "../tests/lab/haproxy/haproxy.ts";
import { freePort } from "../tests/lab/machine/free_port.ts";
import { type DemoPorts, haproxyConfiguration } from "./demo/configuration.ts";
import { play, type Stage } from "./demo/play.ts";
import { PlayedHaproxy } from "./demo/played_haproxy.ts";
import { TemplateStage } from "./demo/template.ts";
import { findTemplateHaproxy } from "./demo/template_configuration.ts";
import { runInTerminal } from "./demo/terminal.ts";
import type { Judge } from "./demo/view.ts";

const USAGE = `Usage: deno task demo [--template] [--once]

  --template  servers that come and go: HAProxy finds them in DNS, two at first, then four, then
              two, and takes each in only when it serves

  --once      play it through once and end. Exit code 0: HAProxy saw all of it; 1: it did not;
              3: no HAProxy could be had, so that nobody but the demo asked the agent

Without --template, in a terminal keys let the backends fail; otherwise it plays by itself, until
Ctrl-C.`;

/** Exit codes beside 0 and 1. */
const EXIT = { usage: 2, withoutHaproxy: 3, interrupted: 130 };

/** Milliseconds between two rounds when nobody is at the keys. */
const REST_MS = 10_000;

async function main(): Promise<number> {
  const once = Deno.args.includes("--once");
  const template = Deno.args.includes("--template");
  if (Deno.args.some((arg) => arg !== "--once" && arg !== "--template")) {
    console.log(USAGE);
    return Deno.args.includes("--help") ? 0 : EXIT.usage;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => stop.abort());
  }
  try {
    return await (template ? templateDemo : demo)(once, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return EXIT.interrupted;
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

async function demo(once: boolean, signal: AbortSignal): Promise<number> {
  console.log("Starting two gRPC backends and the agent ...");
  await using first = await startHealthBackend();
  signal.throwIfAborted();
  await using second = await startHealthBackend();
  signal.throwIfAborted();
  await using agent = await startAgent({ flags: ["--reply-reason", "true"] });
  signal.throwIfAborted();

  const backends = [first.port, second.port];
  const haproxy = await startHaproxy(agent.port, backends, signal);
  await using judge: Judge = haproxy ?? new PlayedHaproxy(agent, backends);
  console.log(`The agent: 127.0.0.1:${agent.port}`);
  console.log(`The agent's metrics: http://127.0.0.1:${agent.metricsPort}/metrics`);

  const stage: Stage = { first, second, judge, real: haproxy !== undefined, signal };
  if (once) return report(await play(stage), stage.real);
  if (Deno.stdin.isTerminal() && Deno.stdout.isTerminal()) {
    await runInTerminal(stage);
    return 0;
  }
  while (true) {
    report(await play(stage), stage.real);
    await pause(REST_MS, undefined, { signal });
  }
}

async function templateDemo(once: boolean, signal: AbortSignal): Promise<number> {
  console.log("Looking for an HAProxy (the first time it is fetched from Debian) ...");
  const found = await findTemplateHaproxy(signal);
  if (!found.found) {
    console.log(`${found.reason}. This demo cannot do without.`);
    return EXIT.withoutHaproxy;
  }
  console.log("Starting a name server, four gRPC servers and the agent ...");
  await using stage = await TemplateStage.start(found.executable, signal);
  console.log(`\nHAProxy ${found.version} runs with this configuration:\n`);
  console.log(stage.configuration.replaceAll(/^(?=.)/gm, "  "));
  console.log(`HAProxy's own page: http://127.0.0.1:${stage.statisticsPort}/`);
  while (true) {
    const missing = await stage.play();
    if (missing.length > 0) {
      console.log(`\nNot seen:\n${missing.map((line) => `  ${line}`).join("\n")}`);
    } else {
      console.log("\nHAProxy took in each server when it served, and let go of those that went.");
    }
    if (once) return missing.length > 0 ? 1 : 0;
    await pause(REST_MS, undefined, { signal });
  }
}

/** Starts an HAProxy that asks the agent, or says why there is none and gives undefined. */
async function startHaproxy(
  agent: number,
  backends: number[],
  signal: AbortSignal,
): Promise<Judge | undefined> {
  console.log("Looking for an HAProxy (the first time it is fetched from Debian) ...");
  const found = await findAnyHaproxy(signal);
  if (!found.found) {
    console.log(`${found.reason}, or install haproxy 2.6 or later. The demo plays its part.`);
    return undefined;
  }
  const ports: DemoPorts = { agent, backends, traffic: freePort(), statistics: freePort() };
  const haproxy = await Haproxy.start(found.executable, haproxyConfiguration(ports));
  console.log(`\nHAProxy ${found.version} runs with this configuration:\n`);
  console.log(haproxy.configuration.replaceAll(/^(?=.)/gm, "  "));
  console.log(`HAProxy's own page: http://127.0.0.1:${ports.statistics}/`);
  return {
    servers: () => haproxy.stats("grpc"),
    [Symbol.asyncDispose]: () => haproxy[Symbol.asyncDispose](),
  };
}

/** Says how a round ended; gives the exit code. */
function report(missing: string[], real: boolean): number {
  if (missing.length > 0) {
    console.log(`\nNot seen:\n${missing.map((line) => `  ${line}`).join("\n")}`);
    return 1;
  }
  if (!real) {
    console.log("\nThe agent answered rightly each time, but no HAProxy has confirmed it.");
    return EXIT.withoutHaproxy;
  }
  console.log("\nHAProxy saw it all: UP (L7OK), DOWN (L7STS) and UP (L7OK) for both backends.");
  return 0;
}

if (import.meta.main) Deno.exit(await main());
