import type { Agent } from "../agent.ts";
import { loadClient } from "../backends.ts";
import {
  type Configuration,
  differences,
  effectiveConfiguration,
  withoutRestart,
} from "../config/configuration.ts";
import type { LoadedConfiguration } from "../config/load.ts";
import { stackOf } from "../describe_error.ts";
import type { Logs } from "../log/log.ts";

/** Puts a configuration that has been read again in force: as a whole, or not at all. */
export class Reloader {
  readonly #agent: Agent;
  readonly #logs: Logs;
  readonly #load: () => Promise<LoadedConfiguration>;
  readonly #applyToLog: (configuration: Configuration) => void;
  #configuration: Configuration;
  #reloads = Promise.resolve();
  /** A reload waits for the one under way. */
  #isNextDue = false;
  #stopped = false;

  /**
   * @param configuration the one that the agent has been started with
   * @param load reads the configuration again
   * @param applyToLog puts the logging settings of a configuration in force
   */
  constructor(
    agent: Agent,
    configuration: Configuration,
    logs: Logs,
    load: () => Promise<LoadedConfiguration>,
    applyToLog: (configuration: Configuration) => void,
  ) {
    this.#agent = agent;
    this.#configuration = configuration;
    this.#logs = logs;
    this.#load = load;
    this.#applyToLog = applyToLog;
  }

  /** The configuration in force. */
  get configuration(): Configuration {
    return this.#configuration;
  }

  /** Reads the configuration again. However often it is called while a reload is under way, one more is made. */
  reload(): void {
    if (this.#isNextDue) return;
    this.#isNextDue = true;
    this.#reloads = this.#reloads.then(() => this.#reload()).catch((error) => {
      this.#agent.configurationFailed();
      this.#logs.config.error("The configuration stays as it was", { error: stackOf(error) });
    });
  }

  /** Leaves the configuration as it is from now on. */
  stop(): void {
    this.#stopped = true;
  }

  async #reload(): Promise<void> {
    this.#isNextDue = false;
    const loaded = await this.#load();
    const mistakes = loaded.ok ? await this.#clientMistakes(loaded.configuration) : loaded.mistakes;
    if (this.#stopped) return;
    if (loaded.ok && mistakes.length === 0) this.#apply(loaded.configuration, loaded.warnings);
    else this.#refuse(mistakes);
  }

  /** @returns why the gRPC client that a configuration names cannot be had, if so */
  async #clientMistakes(configuration: Configuration): Promise<readonly string[]> {
    const mistake = await loadClient(configuration, this.#logs.checker);
    return mistake === undefined ? [] : [mistake];
  }

  #refuse(mistakes: readonly string[]): void {
    this.#agent.configurationFailed();
    for (const mistake of mistakes) this.#logs.config.error(mistake);
    this.#logs.config.error("The configuration stays as it was");
  }

  #apply(loaded: Configuration, warnings: readonly string[]): void {
    const { config: log } = this.#logs;
    const before = this.#configuration;
    const configuration = withoutRestart(before, loaded);
    this.#agent.reconfigure(configuration);
    this.#applyToLog(configuration);
    for (const warning of warnings) log.warn(warning);
    for (const key of differences(configuration, loaded)) {
      log.warn(`${key}: the change needs a restart`);
    }
    log.info("Configuration read again", {
      changed: differences(before, configuration),
      configuration: effectiveConfiguration(configuration),
    });
    this.#configuration = configuration;
  }
}
