import { setTimeout as pause } from "node:timers/promises";
import { type AgentProcess, startAgent } from "../lab/agent/agent_process.ts";
import { surroundings } from "../lab/machine/surroundings.ts";
import { summarize } from "../lab/testing/durations.ts";
import { Random } from "../lab/testing/random.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";
import { Asker } from "./asker.ts";
import { REST_MS } from "./faults.ts";
import { Fleet } from "./fleet.ts";
import { HostileClients } from "./hostile_clients.ts";
import { explain, Ledger, readAgentLog } from "./ledger.ts";
import { CoreWaits, measureProcessors, Stalls } from "./processor_time.ts";
import { countBy, faultCounts, type SoakResult } from "./report.ts";
import { calmSample, judgeFlatness, leftovers, quietSample, Sampler } from "./samples.ts";
import { Schedule } from "./schedule.ts";

/** What a soak is to be. */
export interface SoakOptions {
  readonly minutes: number;
  /** Repeats the order of faults. */
  readonly seed: number;
  /** What an answer may take beyond `check_timeout_ms`, in milliseconds. */
  readonly graceMs: number;
  /** Told now and then how it goes. */
  readonly onProgress: (line: string) => void;
  /** Ends it before its time. */
  readonly signal: AbortSignal;
}

/** Checks a second. */
const RATE = 200;

/** The agent's default. */
const CHECK_TIMEOUT_MS = 1800;

/**
 * How long before the line a state may have ended and still be answered: a backend's last word is on its
 * way for a moment, and equal checks share it. In milliseconds.
 */
const LOOK_BACK_MS = 50;

/**
 * A channel that nobody uses is closed after this, in milliseconds; the default is five minutes. So the
 * end of a soak shows that all are closed, and the backends that are asked rarely lose theirs again and
 * again. The others are asked several times a second: none of theirs is ever idle.
 */
const CHANNEL_IDLE_MS = 10_000;

/** After the last fault all backends are asked on for so long, and must all be up, in milliseconds. */
const EPILOGUE_MS = 3000;

/** How often progress is told, in milliseconds. */
const PROGRESS_MS = 30_000;

/**
 * Where the machine had no time for more checks than this, the run proves nothing: a share of all checks, and a
 * number that one bad moment can cost.
 */
const STARVED_AT_MOST = { share: 0.001, number: 100 };

/** Error types that nothing here can be the reason for. */
const IMPOSSIBLE_ERRORS = ["internal", "local", "dns", "denied"];

/** Starts backends and the agent, lets it be asked while faults happen, and judges every answer. */
export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  await using fleet = await Fleet.start();
  const log = await Deno.makeTempFile({ prefix: "soak-agent-", suffix: ".log" });
  // The agent may write below /tmp, wherever directories of tests are.
  await using directory = await TempDirectory.create("/tmp");
  const timerFile = await directory.write("timers", "");
  await using agent = await startAgent({
    flags: [
      ...["--tls-ca-file", fleet.caFile],
      ...["--channel-idle-timeout", `${CHANNEL_IDLE_MS}`],
      ...["--reply-reason", "true"],
    ],
    // There are half a million lines: into a file, since this process would keep them in memory.
    wrapper: ["sh", "-c", 'exec "$@" 2>"$0"', log],
    preload: new URL("timer_count.ts", import.meta.url).pathname,
    env: { SOAK_TIMER_FILE: timerFile },
  });
  const result = await soak(options, fleet, agent, log, new Sampler(agent, timerFile));
  if (result.problems.length === 0) await Deno.remove(log);
  else options.onProgress(`The agent's log stays in ${log}`);
  return result;
}

async function soak(
  { minutes, seed, graceMs, onProgress, signal }: SoakOptions,
  fleet: Fleet,
  agent: AgentProcess,
  log: string,
  sampler: Sampler,
): Promise<SoakResult> {
  const where = { started: new Date().toISOString(), surroundings: surroundings() };
  const bounds = { deadlineMs: CHECK_TIMEOUT_MS, graceMs, lookBackMs: LOOK_BACK_MS };
  using stalls = new Stalls();
  using agentWaits = new CoreWaits(agent.pid);
  const ledger = new Ledger(bounds, stalls, agentWaits);
  const targets = fleet.members.flatMap((member) => member.targets);
  const lines = targets.flatMap((target) => target.lines);
  const before = await calmSample(sampler);
  const processorUse = measureProcessors(agent.pid);
  const asker = new Asker(agent.port, targets, RATE, new Random(seed, "asker"), (check) => {
    ledger.enter(check);
  });
  const hostile = new HostileClients(agent.port, lines, new Random(seed, "hostile"));
  const schedule = new Schedule(fleet.members, REST_MS, seed);

  // Before the steady rate, so that it does not begin with every connection at once.
  await asker.askEachOnce();
  for (const part of [sampler, asker, hostile, schedule]) part.start();
  await untilOver(minutes, agent, signal, () => {
    const [sample] = sampler.samples.slice(-1);
    const { wrong, late, missing } = ledger.counts;
    onProgress(
      `${((sample?.second ?? 0) / 60).toFixed(1)} min: ${asker.asked} checks, ${wrong} wrong, ` +
        `${late} late, ${missing} missing; ${sample?.residentMb.toFixed(0)} MB, ` +
        `${sample?.descriptors} descriptors, ${sample?.channels} channels`,
    );
  });
  await schedule.stop();
  await pause(EPILOGUE_MS);
  const processors = processorUse();
  for (const part of [asker, hostile, sampler]) await part.stop();
  await ledger.settled();

  const lived = agent.running;
  const after = lived ? await quietSample(sampler, before) : before;
  const agentErrors = lived ? await errorCounts(agent) : {};
  const flatness = judgeFlatness(sampler.samples, minutes);
  const { code, signal: killer } = await agent.stop();
  const { bugs, lines: logLines } = await readAgentLog(log, ledger.findings);
  const problems = [
    ...signal.aborted ? ["It was interrupted"] : [],
    ...lived ? [] : [`The agent ended after ${asker.asked} checks`],
    ...code === 0 ? [] : [`The agent's exit code was ${killer ?? code}`],
    ...problemsOfAnswers(ledger.counts, asker.asked),
    ...sampler.failures === 0 ? [] : [`${sampler.failures} scrapes failed`],
    ...IMPOSSIBLE_ERRORS.filter((type) => (agentErrors[type] ?? 0) > 0)
      .map((type) => `${agentErrors[type]} checks were counted as ${type}`),
    ...flatness.flatMap(({ problem }) => problem ?? []),
    ...leftovers(before, after),
    ...bugs.slice(0, 20).map((bug) => `The agent's log points at a bug: ${bug}`),
    ...schedule.problems,
  ];
  return {
    ...{ ...where, minutes, seed, rate: RATE, bounds, counts: ledger.counts },
    ...{ processors, agentErrors, before, after, flatness, problems },
    backends: countBy(fleet.members.map(({ kind }) => kind)),
    missing: fleet.missing,
    manners: ledger.manners,
    latency: ledger.latency(),
    faults: faultCounts(fleet.members, schedule.records),
    hostileVisits: hostile.visits,
    askerDelay: summarize(stalls.delays),
    findings: ledger.findings.map((finding) =>
      explain(finding, schedule.records, logLines.get(finding) ?? [])
    ),
    samples: sampler.samples,
  };
}

function problemsOfAnswers(counts: Ledger["counts"], asked: number): string[] {
  const starved = counts.agent_starved + counts.asker_stalled;
  return [
    ...(["wrong", "late", "missing"] as const)
      .filter((judgement) => counts[judgement] > 0)
      .map((judgement) => `${counts[judgement]} answers were ${judgement}`),
    ...starved <= asked * STARVED_AT_MOST.share + STARVED_AT_MOST.number
      ? []
      : ["The machine had no time for too many checks"],
  ];
}

/** Waits until the time is over, the agent has ended, or the user interrupts. */
async function untilOver(
  minutes: number,
  agent: AgentProcess,
  interrupted: AbortSignal,
  tellProgress: () => void,
): Promise<void> {
  const over = new AbortController();
  const end = () => over.abort();
  const timer = setTimeout(end, minutes * 60_000);
  const progress = setInterval(tellProgress, PROGRESS_MS);
  interrupted.addEventListener("abort", end);
  agent.exited.then(end);
  const ended = new Promise((resolve) => over.signal.addEventListener("abort", resolve));
  if (interrupted.aborted) end();
  await ended;
  interrupted.removeEventListener("abort", end);
  clearTimeout(timer);
  clearInterval(progress);
}

async function errorCounts(agent: AgentProcess): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [sample, value] of await agent.metrics()) {
    const [, type] = /^check_errors_total\{error_type="(\w+)"\}$/.exec(sample) ?? [];
    if (type !== undefined) counts[type] = value;
  }
  return counts;
}
