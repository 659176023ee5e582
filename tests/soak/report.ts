import { figuresOfAnswers, figuresOfRun } from "./figures.ts";
import type { ExplainedFinding, SoakResult } from "./result.ts";

/** Findings that are told in full on the terminal; the file has them all. */
const TOLD = 20;

/** @returns the result for people at a terminal */
export function formatReport(result: SoakResult): string {
  const figures = [...figuresOfRun(result), ...figuresOfAnswers(result)];
  const width = Math.max(...figures.map(([name]) => name.length));
  const { missing, findings, problems } = result;
  return [
    ...missing.map((reason) => `Not there: ${reason}`),
    ...figures.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    "",
    ...findings.slice(0, TOLD).map(formatFinding),
    ...findings.length > TOLD ? [`... and ${findings.length - TOLD} more`] : [],
    ...problems.length === 0
      ? ["Every answer was right and in time."]
      : problems.map((problem) => `FAILED: ${problem}`),
  ].join("\n");
}

/** @returns one finding, with what explains it on lines of its own */
export function formatFinding(finding: ExplainedFinding): string {
  const { judgement, time, target, manner, line, reply } = finding;
  const { elapsedMs, stalledMs, agentWaitedMs } = finding;
  const answer = reply === undefined ? "no answer" : JSON.stringify(reply);
  return [
    `${judgement.toUpperCase()} ${time} ${target} (${manner}): ${line} -> ${answer} ` +
    `after ${elapsedMs.toFixed(1)} ms; of them the asker did not run for ${
      stalledMs.toFixed(1)
    } ms, ` +
    `the agent had no core for ${agentWaitedMs.toFixed(1)} ms`,
    ...finding.states.map((state) => `    ${state}`),
    ...finding.faults.map((fault) => `    fault: ${fault}`),
    ...finding.log.map((entry) => `    log: ${entry}`),
  ].join("\n");
}
