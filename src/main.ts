import { stringify } from "smol-toml";
import { checkByHand } from "./commands/check.ts";
import { askWhetherReady } from "./commands/ready.ts";
import { giveUpPermissions, serve } from "./commands/serve.ts";
import { type CommandLine, helpText, readCommandLine } from "./config/command_line.ts";
import { effectiveConfiguration } from "./config/configuration.ts";
import { loadConfiguration } from "./config/load.ts";
import { ENV_PREFIX, SETTING_ROWS } from "./config/settings.ts";
import { unreadableVariables } from "./config/sources.ts";
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
    case "check-config":
    case "check":
    case "ready":
    case "serve":
      return await runConfigured(commandLine);
  }
}

async function runConfigured(commandLine: CommandLine): Promise<number> {
  const environment = Deno.env.toObject();
  const unreadable = unreadableVariables(
    SETTING_ROWS.map(({ env }) => ENV_PREFIX + env),
    (name) => Deno.env.get(name),
  );
  const load = (refuseEmptyFile: boolean) =>
    loadConfiguration({
      flags: commandLine.values,
      configFile: commandLine.configFile,
      refuseEmptyFile,
      environment,
      unreadable,
      readTextFile: readRegularFile,
    });
  const loaded = await load(commandLine.action === "check-config");
  if (!loaded.ok) {
    // For `check`, 1 means down, and for `ready` not ready.
    const isQuestion = commandLine.action === "check" || commandLine.action === "ready";
    return complain(loaded.mistakes, isQuestion ? EXIT_WRONG_USAGE : EXIT_FAILED);
  }
  const { configuration, warnings } = loaded;
  if (commandLine.action === "check-config") {
    complain(warnings, 0);
    const mistake = logFileMistake(configuration.settings);
    if (mistake !== undefined) return complain([mistake], EXIT_FAILED);
    return print(stringify(effectiveConfiguration(configuration))) ? 0 : EXIT_FAILED;
  }
  // What `ready` and `check` have found out is their exit code, whether or not it can be printed as well.
  if (commandLine.action === "ready") {
    const { ready, text } = await askWhetherReady(configuration.settings);
    print(text);
    return ready ? 0 : EXIT_FAILED;
  }
  giveUpPermissions(configuration.settings);
  if (commandLine.action === "serve") {
    const wasEmpty = isEmptyFile(commandLine.configFile);
    const onReload = reloadSignals();
    const stopped = nextStopSignal();
    const hooks = {
      stopped,
      onReload,
      load: () => load(!wasEmpty),
      complain: (line: string) => complain([line]),
    };
    return await serve(configuration, warnings, hooks) ? 0 : EXIT_FAILED;
  }
  const parsed = parseRequest(commandLine.checkFields.join(" "));
  if (!parsed.ok) return complain([`check: ${parsed.reason}`], EXIT_WRONG_USAGE);
  if (!configuration.tlsProfiles.has(parsed.request.tlsProfile)) {
    return complain(["check: the TLS profile does not exist"], EXIT_WRONG_USAGE);
  }
  const checked = await checkByHand(parsed.request, configuration, commandLine.json);
  // Not 1, which means down.
  if (!checked.ok) return complain([checked.mistake], EXIT_WRONG_USAGE);
  print(checked.text);
  if (checked.up === undefined) return EXIT_WRONG_USAGE;
  return checked.up ? 0 : EXIT_FAILED;
}

/** Not from a pipe: it would hold the agent up until somebody writes, and at a reload it would be empty. */
/** Whether the configuration file has nothing in it: where that was so from the start, it is meant. */
function isEmptyFile(path: string | undefined): boolean {
  try {
    return path !== undefined && readRegularFile(path).trim() === "";
  } catch {
    return false;
  }
}

function readRegularFile(path: string): string {
  if (!Deno.statSync(path).isFile) throw new Error("It is not a regular file");
  return Deno.readTextFileSync(path);
}

/** @returns whether it could be written; a reader that has gone counts as one that has read enough */
function print(text: string): boolean {
  try {
    console.log(text);
    return true;
  } catch (error) {
    complain([`stdout cannot be written: ${reasonOf(error)}`]);
    return false;
  }
}

/** Settles at the first SIGTERM or SIGINT; a second one ends the process at once. */
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
 * @returns sets what SIGHUP does; where one has come already, does it at once
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
