import { parseArgs } from "node:util";
import { suggest } from "./suggest.ts";
import type { Setting } from "./settings.ts";

/** What the command line says. */
export interface CommandLine {
  /** Values by the key of the setting, as typed. */
  readonly values: ReadonlyMap<string, string>;
  readonly help: boolean;
  readonly version: boolean;
  /** A wrong command line: one line per mistake. */
  readonly mistakes: readonly string[];
}

/**
 * Reads the command line: `--flag VALUE` or `--flag=VALUE`; a switch may stand alone.
 *
 * @param args without the program's name
 */
export function readCommandLine(
  args: readonly string[],
  settings: readonly Setting<unknown>[],
): CommandLine {
  const byFlag = new Map(settings.map((setting) => [setting.flag, setting]));
  const isSwitch = (flag: string) => byFlag.get(flag)?.kind.isSwitch === true;
  const { tokens } = parseArgs({
    args: spellOutSwitches(args, isSwitch),
    options: {
      help: { type: "boolean", short: "h" },
      version: { type: "boolean", short: "V" },
      ...Object.fromEntries([...byFlag.keys()].map((flag) => [flag, { type: "string" } as const])),
    },
    strict: false,
    tokens: true,
  });
  const values = new Map<string, string>();
  const mistakes: string[] = [];
  let help = false;
  let version = false;
  for (const token of tokens) {
    if (token.kind === "positional") {
      mistakes.push(`${token.value}: unexpected argument`);
    } else if (token.kind === "option") {
      const setting = byFlag.get(token.name);
      if (token.name === "help") help = true;
      else if (token.name === "version") version = true;
      else if (setting === undefined) {
        mistakes.push(
          `${token.rawName}: unknown flag${suggest(token.name, [...byFlag.keys()], "--")}`,
        );
      } else if (token.value === undefined) {
        mistakes.push(`${token.rawName}: a value is missing (${setting.kind.accepted})`);
      } else if (values.has(setting.key)) {
        mistakes.push(`${token.rawName}: given more than once`);
      } else {
        values.set(setting.key, token.value);
      }
    }
  }
  return { values, help, version, mistakes };
}

/** `--switch` alone becomes `--switch=true`, and `--switch false` becomes `--switch=false`. */
function spellOutSwitches(
  args: readonly string[],
  isSwitch: (flag: string) => boolean,
): string[] {
  const spelt: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? "";
    const next = args[index + 1];
    if (!arg.startsWith("--") || !isSwitch(arg.slice(2))) spelt.push(arg);
    else if (next === undefined || next.startsWith("-")) spelt.push(`${arg}=true`);
    else {
      spelt.push(`${arg}=${next}`);
      index++;
    }
  }
  return spelt;
}
