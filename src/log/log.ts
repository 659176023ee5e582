import { setTimeout } from "node:timers";
import { inspect } from "node:util";

/** The parts of the agent that log, each with a logger (and a level) of its own. */
export const COMPONENTS = [
  "main",
  "config",
  "server",
  "protocol",
  "checker",
  "metrics",
] as const;

/** A part of the agent that logs. */
export type Component = (typeof COMPONENTS)[number];

/** One logger per component. */
export type Logs = { readonly [Name in Component]: Logger };

/** The levels of `log_level`, least first. `trace` is for configurations of the Rust agent: nothing is logged at it. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** Values of `log_format`. */
export const LOG_FORMATS = ["json", "pretty"] as const;

export type LogFormat = (typeof LOG_FORMATS)[number];

/** Values of `log_checks`: which answers are logged at level `info`. */
export const LOG_CHECKS = ["all", "changes", "none"] as const;

export type LogChecks = (typeof LOG_CHECKS)[number];

/** How the agent logs. */
export interface LogOptions {
  readonly level: LogLevel;
  /** Levels of components that differ from it. */
  readonly levels: ReadonlyMap<Component, LogLevel>;
  readonly format: LogFormat;
  /** Colours in the pretty form: for a terminal. */
  readonly colour: boolean;
  /** Takes each line with its newline, and whether it is urgent (a warning or an error); must not throw. */
  readonly write: (line: string, isUrgent: boolean) => void;
}

type Fields = Readonly<Record<string, unknown>>;

/** The fields of a line; a function is only called for a line that is written. */
export type LogFields = Fields | (() => Fields);

/** @returns the loggers of all components */
export function setUpLogging(options: LogOptions): Logs {
  return Object.fromEntries(
    COMPONENTS.map((component) => [component, new Logger(component, options)]),
  ) as Logs;
}

/** Puts other levels, or another form, in force. */
export function changeLogging(logs: Logs, options: LogOptions): void {
  for (const logger of Object.values(logs)) logger.configure(options);
}

/** Writes the lines of one component. */
export class Logger {
  readonly #component: Component;
  #options!: LogOptions;
  /** The index in {@linkcode LOG_LEVELS} of the least level that is written. */
  #least!: number;

  constructor(component: Component, options: LogOptions) {
    this.#component = component;
    this.configure(options);
  }

  configure(options: LogOptions): void {
    this.#options = options;
    this.#least = LOG_LEVELS.indexOf(options.levels.get(this.#component) ?? options.level);
  }

  debug(message: string, fields?: LogFields): void {
    this.#write("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#write("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#write("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#write("error", message, fields);
  }

  #write(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (LOG_LEVELS.indexOf(level) < this.#least) return;
    const { format, colour, write } = this.#options;
    const line = {
      timestamp: timestamp(),
      level,
      component: this.#component,
      message,
      fields: typeof fields === "function" ? fields() : fields,
    };
    const text = format === "json" ? toJsonLine(line) : toPrettyLine(line, colour);
    write(text, level === "warn" || level === "error");
  }
}

interface Line {
  readonly timestamp: string;
  readonly level: LogLevel;
  readonly component: Component;
  readonly message: string;
  readonly fields: Fields;
}

function toJsonLine({ fields, ...head }: Line): string {
  return `${encodeControls(JSON.stringify({ ...head, ...fields }))}\n`;
}

const COLOURS: Readonly<Record<LogLevel, string>> = {
  trace: "\x1b[2m",
  debug: "\x1b[34m",
  info: "\x1b[32m",
  warn: "\x1b[33m",
  error: "\x1b[31m",
};

/** For people: time, level, component, message, key=value. */
function toPrettyLine({ timestamp, level, component, message, fields }: Line, colour: boolean) {
  const shown = colour ? `${COLOURS[level]}${level.padEnd(5)}\x1b[0m` : level.padEnd(5);
  const pairs = Object.entries(fields).map(([key, value]) => {
    const text = typeof value === "string" ? value : inspect(value, { breakLength: Infinity });
    return ` ${key}=${/^[\w.:/[\]-]+$/.test(text) ? text : quote(text)}`;
  });
  return `${timestamp} ${shown} ${component.padEnd(8)} ${message}${pairs.join("")}\n`;
}

function quote(text: string): string {
  return encodeControls(JSON.stringify(text));
}

const CONTROLS = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Escapes what JSON leaves as it is: DEL and the C1 control characters, which some terminals obey, and Unicode's line
 * ends and marks of direction, which let one line look like another.
 */
function encodeControls(json: string): string {
  return json.replace(
    CONTROLS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

let timestampMs = 0;
let timestampText = "";

/** The time in ISO 8601, UTC, milliseconds; lines of the same millisecond share the text. */
function timestamp(): string {
  const now = Date.now();
  if (now !== timestampMs) {
    timestampMs = now;
    timestampText = new Date(now).toISOString();
  }
  return timestampText;
}

const PER_SECOND = 10;

/**
 * Warnings or errors that clients can cause in any number: of each message at most 10 a second are logged, and then
 * how many were left out.
 */
export class ThrottledWarnings {
  readonly #log: Logger;
  readonly #level: "warn" | "error";
  /** Lines in the second under way, by their message. */
  readonly #counts = new Map<string, number>();
  #window: ReturnType<typeof setTimeout> | undefined;

  constructor(log: Logger, level: "warn" | "error" = "warn") {
    this.#log = log;
    this.#level = level;
  }

  /**
   * Logs, or counts.
   *
   * @param message one of a few constant texts
   * @param fields called only when the line is written
   */
  warn(message: string, fields: () => Fields): void {
    this.#window ??= this.#openWindow();
    const count = (this.#counts.get(message) ?? 0) + 1;
    this.#counts.set(message, count);
    if (count <= PER_SECOND) this.#log[this.#level](message, fields);
  }

  #openWindow(): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => {
      this.#window = undefined;
      for (const [message, count] of this.#counts) {
        if (count <= PER_SECOND) continue;
        this.#log[this.#level]("Further warnings of this kind were left out", {
          warning: message,
          count: count - PER_SECOND,
        });
      }
      this.#counts.clear();
    }, 1000);
    timer.unref();
    return timer;
  }
}
