import type { Logger } from "@logtape/logtape";
import type { SecureContext } from "node:tls";
import { type Agent, startAgent } from "./agent.ts";
import { loadTrust, TlsFileError } from "./check/tls_trust.ts";
import { readCommandLine } from "./config/command_line.ts";
import { helpText } from "./config/help.ts";
import { loadConfig } from "./config/load.ts";
import { type Config, SETTING_ROWS } from "./config/settings.ts";
import { LogOutput } from "./observe/log_output.ts";
import { setUpLogging } from "./observe/log.ts";
import { formatHostPort } from "./protocol/host.ts";
import { surviveBugs } from "./survive_bugs.ts";
import { VERSION } from "./version.ts";

/** Stopping takes no longer than this, in milliseconds. */
const SHUTDOWN_TIMEOUT_MS = 2500;

/** How long the last log lines may take to leave, in milliseconds. */
const LOG_DRAIN_MS = 200;

const EXIT_FAILED = 1;
const EXIT_WRONG_COMMAND_LINE = 2;

/** @returns the exit code */
async function run(args: readonly string[]): Promise<number> {
  const commandLine = readCommandLine(args, SETTING_ROWS);
  if (commandLine.help) {
    console.log(helpText());
    return 0;
  }
  if (commandLine.version) {
    console.log(`haproxy-grpc-agent ${VERSION}`);
    return 0;
  }
  if (commandLine.mistakes.length > 0) {
    return complain(commandLine.mistakes, EXIT_WRONG_COMMAND_LINE);
  }
  const loaded = loadConfig(commandLine.values, Deno.env.toObject());
  if (!loaded.ok) return complain(loaded.mistakes, EXIT_FAILED);
  const { config, warnings } = loaded;
  try {
    return await serve(config, warnings, loadTrust(config.tls_ca_file));
  } catch (error) {
    if (!(error instanceof TlsFileError)) throw error;
    return complain([`tls_ca_file: ${config.tls_ca_file}: ${error.message}`], EXIT_FAILED);
  }
}

function complain(mistakes: readonly string[], exitCode: number): number {
  for (const mistake of mistakes) console.error(`haproxy-grpc-agent: ${mistake}`);
  return exitCode;
}

async function serve(
  config: Config,
  warnings: readonly string[],
  trust: () => SecureContext,
): Promise<number> {
  const output = new LogOutput((bytes) => Deno.stderr.write(bytes));
  const logs = setUpLogging({
    level: config.log_level,
    format: config.log_format,
    colour: Deno.stderr.isTerminal() && !Deno.noColor,
    write: (line) => output.add(line),
  });
  surviveBugs(logs.main);
  logs.main.info("Starting", { version: VERSION, config });
  for (const warning of warnings) logs.config.warn(warning);
  const stopSignal = nextStopSignal();
  try {
    const agent = startAgent(config, trust, logs);
    logs.main.info("Stopping", { signal: await stopSignal });
    await stop(agent, logs.main);
    return 0;
  } catch (error) {
    const address = formatHostPort(config.server_bind_address, config.server_port);
    logs.main.error(
      `Cannot listen on ${address}: ${error instanceof Error ? error.message : error}`,
    );
    return EXIT_FAILED;
  } finally {
    await output.drain(LOG_DRAIN_MS);
  }
}

/** Settles at the first SIGTERM or SIGINT; a second one ends the process at once. */
function nextStopSignal(): Promise<Deno.Signal> {
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

async function stop(agent: Agent, log: Logger): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), SHUTDOWN_TIMEOUT_MS - LOG_DRAIN_MS);
  });
  const late = await Promise.race([agent.stop(), timeout]) === "late";
  clearTimeout(timer);
  if (late) log.warn("Stopped with checks under way");
  else log.info("Stopped");
}

Deno.exit(await run(Deno.args));
