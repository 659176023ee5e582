import { parseArgs } from "node:util";
import { suggest } from "./kinds.ts";
import { ENV_PREFIX, type Setting, SETTING_ROWS } from "./settings.ts";

/** What the program is asked to do. */
export type Action = "serve" | "check" | "ready" | "check-config" | "help" | "version";

/** A command line, taken apart. */
export interface CommandLine {
  readonly action: Action;
  /** Values by the key of the setting, as typed. */
  readonly values: ReadonlyMap<string, string>;
  readonly configFile: string | undefined;
  /** For the action `check`: the fields of the request line. */
  readonly checkFields: readonly string[];
  /** For the action `check`: whether the result is for a machine. */
  readonly json: boolean;
  /** A wrong command line: one line per mistake. */
  readonly mistakes: readonly string[];
}

const SUBCOMMANDS = ["check", "ready"];

/** Flags that are no settings; one with a placeholder takes a value. */
export const OTHER_FLAGS = {
  config: { short: "c", placeholder: "FILE", help: "Read the settings from a TOML file" },
  "check-config": { help: "Validate, print the configuration in force, exit 0 or 1" },
  help: { short: "h", help: "This text" },
  version: { short: "V", help: "The version" },
  json: { help: "With check: print the result as JSON" },
} as const satisfies Record<
  string,
  { readonly short?: string; readonly placeholder?: string; readonly help: string }
>;

/** The same in the form of `parseArgs`. */
const OTHER_OPTIONS = Object.fromEntries(
  Object.entries(OTHER_FLAGS).map(([name, flag]) => [
    name,
    {
      type: "placeholder" in flag ? "string" : "boolean",
      ..."short" in flag ? { short: flag.short } : {},
    } as const,
  ]),
);

/**
 * Reads the command line: `--flag VALUE` or `--flag=VALUE` (a switch may stand alone), and the
 * subcommands `check`, with the fields of a request line, and `ready`.
 *
 * @param args without the program's name
 */
export function readCommandLine(
  args: readonly string[],
  settings: readonly Setting<unknown>[],
): CommandLine {
  const byFlag = new Map(settings.map((setting) => [setting.flag, setting]));
  const known = [...byFlag.keys(), ...Object.keys(OTHER_FLAGS)];
  const { tokens } = parseArgs({
    args: spellOutSwitches(args, (flag) => byFlag.get(flag)?.kind.isSwitch === true),
    options: {
      ...OTHER_OPTIONS,
      ...Object.fromEntries([...byFlag.keys()].map((flag) => [flag, { type: "string" } as const])),
    },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string>();
  const given = new Set<string>();
  const fields: string[] = [];
  const mistakes: string[] = [];
  let configFile: string | undefined;
  for (const token of tokens) {
    if (token.kind === "positional") fields.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value } = token;
    const setting = byFlag.get(name);
    const takesValue = setting !== undefined || OTHER_OPTIONS[name]?.type === "string";
    if (!known.includes(name)) {
      mistakes.push(`${rawName}: unknown flag${suggest(name, known, "--")}`);
    } else if (takesValue && value === undefined) {
      mistakes.push(`${rawName}: a value is missing (${setting?.kind.accepted ?? "a path"})`);
    } else if (!takesValue && value !== undefined) {
      mistakes.push(`${rawName}: takes no value`);
    } else if (given.has(name)) {
      mistakes.push(`${rawName}: given more than once`);
    } else if (setting !== undefined && value !== undefined) {
      values.set(setting.key, value);
    } else if (name === "config") {
      configFile = value;
    }
    given.add(name);
  }
  const [command, ...checkFields] = fields;
  const unexpected = command === "ready" ? checkFields[0] : command;
  if (unexpected !== undefined && command !== "check") {
    mistakes.push(`${unexpected}: unexpected argument${suggest(unexpected, SUBCOMMANDS)}`);
  }
  if (given.has("json") && command !== "check") mistakes.push("--json: only with check");
  const action = actionOf(given, command);
  return { action, values, configFile, checkFields, json: given.has("json"), mistakes };
}

function actionOf(given: ReadonlySet<string>, command: string | undefined): Action {
  if (given.has("help")) return "help";
  if (given.has("version")) return "version";
  if (given.has("check-config")) return "check-config";
  return command === "check" || command === "ready" ? command : "serve";
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
    else if (next === undefined || !/^(true|false)$/i.test(next)) spelt.push(`${arg}=true`);
    else {
      spelt.push(`${arg}=${next}`);
      index++;
    }
  }
  return spelt;
}

const LEFT_WIDTH = 36;

/** @returns the text of `--help` */
export function helpText(): string {
  const groups = [...Map.groupBy(SETTING_ROWS, ({ group }) => group)]
    .map(([group, settings]) => `${group}:\n${settings.map(settingRow).join("\n")}`);
  const others = Object.entries(OTHER_FLAGS).map(([name, flag]) => {
    const short = "short" in flag ? `-${flag.short}, ` : "";
    const placeholder = "placeholder" in flag ? ` ${flag.placeholder}` : "";
    return row(`  ${short}--${name}${placeholder}`, flag.help);
  });
  return `haproxy-grpc-agent: gRPC health checks for HAProxy's agent-check

Usage:
  haproxy-grpc-agent [flags]
  haproxy-grpc-agent check <backend_server> <backend_port> <ssl|no-ssl> <proxy_host_name>
                     [option...] [flags]    one check by hand: exit 0 up, 1 down, 2 not asked
  haproxy-grpc-agent ready [flags]          asks the agent that runs with the same flags and
                                            configuration: exit 0 ready, 1 not, 2 wrong usage

${groups.join("\n\n")}

Other:
${others.join("\n")}

Each flag has a variable (--server-port: ${ENV_PREFIX}SERVER_PORT) and a TOML key (server_port).
The command line beats the TOML file, the file the environment. Times (MS) are in milliseconds.
`;
}

function settingRow({ flag, kind, help, default: value, defaultText }: Setting<unknown>): string {
  const placeholder = kind.isSwitch === true ? `[${kind.placeholder}]` : kind.placeholder;
  return row(`  --${flag} ${placeholder}`, `${help} [${defaultText ?? value}]`);
}

function row(left: string, right: string): string {
  return left.length < LEFT_WIDTH
    ? left.padEnd(LEFT_WIDTH) + right
    : `${left}\n${" ".repeat(LEFT_WIDTH)}${right}`;
}
