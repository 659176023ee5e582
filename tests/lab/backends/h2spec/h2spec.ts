import { freePort } from "../../machine/free_port.ts";
import { LabProcess } from "../../machine/lab_process.ts";
import { ROOT } from "../../testing/repository.ts";
import { BuiltProgram } from "../libraries/built_program.ts";

/** What h2spec found. */
export interface H2specResult {
  readonly passed: number;
  /** The cases that were not passed, as `6.9.1 2: Sends ...`, with what was expected and seen. */
  readonly failed: ReadonlyMap<string, string>;
}

/** Ports in a row that a run needs: one for each case. */
const PORTS = 64;

/** Attempts at finding so many free ones. */
const ATTEMPTS = 20;

/**
 * How long a case waits for the client to do what it must, in seconds. h2spec gives up a case that takes three
 * seconds together with its command.
 */
const CASE_TIMEOUT_S = 1;

const H2SPEC = new BuiltProgram({
  name: "h2spec",
  sources: `${ROOT}tests/lab/backends/h2spec/program`,
  tools: [["go", "version"]],
  install: "Go is missing (Debian package golang-go)",
  commands: [[
    ...["env", "GOTOOLCHAIN=local", "go", "build", "-o", "h2specd"],
    "github.com/summerwind/h2spec/cmd/h2specd",
  ]],
});

/**
 * Runs the client cases of h2spec: each is a server on a port of its own, which a command is told to ask.
 *
 * @param command asks the server whose URL is appended; it must end within a second or two
 * @throws {Error} when it cannot be built here (see {@linkcode h2specProblem}), or a case was not run
 */
export async function runH2spec(command: string): Promise<H2specResult> {
  const folder = await H2SPEC.folder();
  for (let attempt = 1;; attempt++) {
    const from = freePort();
    await using h2spec = new LabProcess(`${folder}/h2specd`, {
      args: [
        ...["--exec", command, "--timeout", `${CASE_TIMEOUT_S}`],
        ...["--from-port", `${Math.min(from, 32_000 - PORTS)}`],
      ],
    });
    await h2spec.exited;
    const output = [...h2spec.stdout.lines, ...h2spec.stderr.lines].map(withoutColour);
    const result = readResult(output);
    if (result !== undefined) return result;
    const isTaken = output.some((line) => line.includes("address already in use"));
    if (!isTaken || attempt === ATTEMPTS) throw new Error(`h2spec: ${output.slice(-5).join("\n")}`);
  }
}

/** Why h2spec cannot run here; undefined when it can. */
export async function h2specProblem(): Promise<string | undefined> {
  return await H2SPEC.missing();
}

/** @returns undefined where the output has no summary */
function readResult(lines: readonly string[]): H2specResult | undefined {
  const [, passed] = /^\d+ tests, (\d+) passed/m.exec(lines.join("\n")) ?? [];
  if (passed === undefined) return undefined;
  const failed = new Map<string, string>();
  let section = "";
  for (const [index, line] of lines.entries()) {
    section = /^ *(\d[\d.]*)\. /.exec(line)?.[1] ?? section;
    const [, name] = /^ *× (.*)$/.exec(line) ?? [];
    // After it come what was required, expected and seen.
    const details = lines.slice(index + 2, index + 6).filter((detail) => /^ +\S/.test(detail));
    if (name !== undefined) {
      failed.set(
        `${section} ${name}`,
        details.map((d) => d.trim()).join("; "),
      );
    }
  }
  return { passed: Number(passed), failed };
}

function withoutColour(line: string): string {
  // deno-lint-ignore no-control-regex
  return line.replaceAll(/\x1b\[[\d;]*m|\r/g, "");
}
