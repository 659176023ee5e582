import { BuiltProgram } from "../backends/libraries/built_program.ts";
import { LabProcess } from "../machine/lab_process.ts";
import { ROOT } from "./repository.ts";

/** A judge that is made of Grafana's own library for dashboards, which knows every field of them. */
const JUDGE = new BuiltProgram({
  name: "grafana-schema",
  sources: `${ROOT}tests/lab/testing/grafana_schema`,
  tools: [["go", "version"]],
  install: "Go is missing (Debian package golang-go)",
  commands: [["env", "GOTOOLCHAIN=local", "go", "build", "-o", "grafana-schema"]],
});

/**
 * Judges a dashboard by Grafana's schema: unknown fields, missing ones, and values of another type.
 *
 * @param path its JSON
 * @returns what is wrong; empty when nothing is
 * @throws {Error} when the judge cannot be built here (see {@linkcode grafanaSchemaProblem})
 */
export async function dashboardMistakes(path: string): Promise<readonly string[]> {
  await using judge = new LabProcess(`${await JUDGE.folder()}/grafana-schema`, { args: [path] });
  const { code } = await judge.exited;
  return code === 0 ? [] : judge.stderr.lines;
}

/** Why dashboards cannot be judged here; undefined when they can. */
export async function grafanaSchemaProblem(): Promise<string | undefined> {
  return await JUDGE.missing();
}
