import { stringify } from "smol-toml";
import { checkByHand } from "./commands/check.ts";
import { askWhetherReady } from "./commands/ready.ts";
import { giveUpPermissions, serve } from "./commands/serve.ts";
import { type Action, type CommandLine, helpText, readCommandLine } from "./config/command_line.ts";
import { type Configuration, effectiveConfiguration } from "./config/configuration.ts";
import { unreadableVariables } from "./config/environment.ts";
import { loadConfiguration, type LoadedConfiguration } from "./config/load.ts";
import { ENV_PREFIX, SETTING_ROWS } from "./config/settings.ts";
import { reasonOf, stackOf } from "./describe_error.ts";
import { logFileMistake } from "./log/file.ts";
import { parseRequest } from "./protocol/request.ts";
import { VERSION } from "./version.ts";

const EXIT_FAILED = 1;
const EXIT_WRONG_USAGE = 2;

/** @returns the exit code */
async function run(args: readonly string[]): Promise<number> {
  const commandLine = readCommandLine(args, SETTING_ROWS);
  if (commandLine.mistakes.length > 0) {
    return complain([...commandLine.mistakes, "see --help"], EXIT_WRONG_USAGE);
  }
  switch (commandLine.action) {
    case "help":
      return print(helpText()) ? 0 : EXIT_FAILED;
    case "version":
      return print(`haproxy-grpc-agent ${VERSION}`) ? 0 : EXIT_FAILED;
    default:
      return await runConfigured(commandLine, commandLine.action);
  }
}

async function runConfigured(
  commandLine: CommandLine,
  action: Exclude<Action, "help" | "version">,
): Promise<number> {
  const load = configurationLoader(commandLine);
  const loaded = await load(action === "check-config");
  if (!loaded.ok) {
    // For `check`, 1 means down, and for `ready` not ready.
    const isQuestion = action === "check" || action === "ready";
    return complain(loaded.mistakes, isQuestion ? EXIT_WRONG_USAGE : EXIT_FAILED);
  }
  const { configuration, warnings } = loaded;
  switch (action) {
    case "check-config":
      return checkConfig(configuration, warnings);
    case "ready":
      return await runReady(configuration);
    case "check":
      return await runCheck(commandLine, configuration);
    case "serve":
      return await runAgent(commandLine, configuration, warnings, load);
  }
}

/** Reads the configuration. @param refuseEmptyFile whether an empty configuration file is a mistake */
type LoadConfiguration = (refuseEmptyFile: boolean) => Promise<LoadedConfiguration>;

/** The environment is read here, once: an agent that serves gives up the permission to read it. */
function configurationLoader({ values, configFile }: CommandLine): LoadConfiguration {
  const environment = Deno.env.toObject();
  const unreadable = unreadableVariables(
    SETTING_ROWS.map(({ env }) => ENV_PREFIX + env),
    (name) => Deno.env.get(name),
  );
  return (refuseEmptyFile) =>
    loadConfiguration({
      flags: values,
      configFile,
      refuseEmptyFile,
      environment,
      unreadable,
      readTextFile: readRegularFile,
    });
}

function checkConfig(configuration: Configuration, warnings: readonly string[]): number {
  complain(warnings);
  const mistake = logFileMistake(configuration.settings);
  if (mistake !== undefined) return complain([mistake]);
  return print(stringify(effectiveConfiguration(configuration))) ? 0 : EXIT_FAILED;
}

/** The exit code is the answer, whether or not the text can be printed as well. */
async function runReady({ settings }: Configuration): Promise<number> {
  const { ready, text } = await askWhetherReady(settings);
  print(text);
  return ready ? 0 : EXIT_FAILED;
}

async function runCheck(
  { checkFields, json }: CommandLine,
  configuration: Configuration,
): Promise<number> {
  giveUpPermissions(configuration.settings);
  const parsed = parseRequest(checkFields.join(" "));
  if (!parsed.ok) return complain([`check: ${parsed.reason}`], EXIT_WRONG_USAGE);
  if (!configuration.tlsProfiles.has(parsed.request.tlsProfile)) {
    return complain(["check: the TLS profile does not exist"], EXIT_WRONG_USAGE);
  }
  const checked = await checkByHand(parsed.request, configuration, json);
  // Not 1, which means down.
  if (!checked.ok) return complain([checked.mistake], EXIT_WRONG_USAGE);
  print(checked.text); // as for `ready`
  if (checked.up === undefined) return EXIT_WRONG_USAGE;
  return checked.up ? 0 : EXIT_FAILED;
}

async function runAgent(
  { configFile }: CommandLine,
  configuration: Configuration,
  warnings: readonly string[],
  load: LoadConfiguration,
): Promise<number> {
  giveUpPermissions(configuration.settings);
  // A file that is empty at the start is meant to be; one that becomes empty later has been truncated.
  const wasEmpty = isEmptyFile(configFile);
  const hooks = {
    onReload: reloadSignals(),
    stopped: nextStopSignal(),
    load: () => load(!wasEmpty),
    complain: (line: string) => complain([line]),
  };
  return await serve(configuration, warnings, hooks) ? 0 : EXIT_FAILED;
}

function isEmptyFile(path: string | undefined): boolean {
  try {
    return path !== undefined && readRegularFile(path).trim() === "";
  } catch {
    return false;
  }
}

/** Refuses a pipe: reading one waits until somebody writes, and at a reload it would be empty. */
function readRegularFile(path: string): string {
  if (!Deno.statSync(path).isFile) throw new Error("It is not a regular file");
  return Deno.readTextFileSync(path);
}

/** @returns whether it could be written; that the reader has gone is no failure */
function print(text: string): boolean {
  try {
    console.log(text);
    return true;
  } catch (error) {
    complain([`stdout cannot be written: ${reasonOf(error)}`]);
    return false;
  }
}

/** @returns the first SIGTERM or SIGINT, once it has come; a second one ends the process at once */
function nextStopSignal(): Promise<string> {
  return new Promise((resolve) => {
    let stopping = false;
    for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15]] as const) {
      Deno.addSignalListener(signal, () => {
        if (stopping) Deno.exit(128 + number);
        stopping = true;
        resolve(signal);
      });
    }
  });
}

/**
 * Takes SIGHUP from here on: without a listener it would end the process.
 *
 * @returns sets what SIGHUP does, and does it at once where a SIGHUP has come already
 */
function reloadSignals(): (reload: () => void) => void {
  let missed = false;
  let onSignal = () => {
    missed = true;
  };
  Deno.addSignalListener("SIGHUP", () => onSignal());
  return (reload) => {
    onSignal = reload;
    if (missed) reload();
  };
}

function complain(lines: readonly string[], exitCode = EXIT_FAILED): number {
  try {
    for (const line of lines) console.error(`haproxy-grpc-agent: ${line}`);
  } catch {
    // There is nowhere else to say it.
  }
  return exitCode;
}

// Otherwise a bug at the start would leave a process that neither serves nor ends.
const exitCode = await run(Deno.args).catch((error) => {
  console.error(stackOf(error));
  return EXIT_FAILED;
});
Deno.exit(exitCode);
