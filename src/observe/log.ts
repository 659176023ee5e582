import {
  configureSync,
  getLogger,
  type Logger,
  type LogLevel as LogTapeLevel,
  type LogRecord,
} from "@logtape/logtape";
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

/** The levels of `log_level`, least first. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error"] as const;

/** A value of `log_level`. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The forms of a line. */
export const LOG_FORMATS = ["json", "pretty"] as const;

/** A value of `log_format`. */
export type LogFormat = (typeof LOG_FORMATS)[number];

/** How the agent logs. */
export interface LogOptions {
  readonly level: LogLevel;
  /** Levels of components that differ from it. */
  readonly levels: ReadonlyMap<Component, LogLevel>;
  readonly format: LogFormat;
  /** Colours in the pretty form: for a terminal. */
  readonly colour: boolean;
  /** Takes each line with its newline; must not throw. */
  readonly write: (line: string) => void;
}

/** Sets logging up for the whole process (LogTape has one configuration). */
export function setUpLogging({ level, levels, format, colour, write }: LogOptions): Logs {
  const formatted = format === "json"
    ? toJsonLine
    : (record: LogRecord) => toPrettyLine(record, colour);
  configureSync({
    reset: true,
    sinks: { out: (record) => write(formatted(record)) },
    loggers: [
      ...COMPONENTS.map((component) => ({
        category: [component],
        sinks: ["out"],
        lowestLevel: logTapeLevel(levels.get(component) ?? level),
      })),
      { category: ["logtape", "meta"], lowestLevel: "error" },
    ],
  });
  return Object.fromEntries(COMPONENTS.map((name) => [name, getLogger([name])])) as Logs;
}

function toJsonLine(record: LogRecord): string {
  const line = {
    timestamp: new Date(record.timestamp).toISOString(),
    level: levelName(record.level),
    component: record.category[0],
    message: messageOf(record),
    ...record.properties,
  };
  return `${encodeControls(JSON.stringify(line))}\n`;
}

const COLOURS: Readonly<Record<string, string>> = {
  trace: "\x1b[2m",
  debug: "\x1b[34m",
  info: "\x1b[32m",
  warn: "\x1b[33m",
  error: "\x1b[31m",
};

/** For people: time, level, component, message, key=value. */
function toPrettyLine(record: LogRecord, colour: boolean): string {
  const time = new Date(record.timestamp).toISOString();
  const name = levelName(record.level);
  const level = colour ? `${COLOURS[name]}${name.padEnd(5)}\x1b[0m` : name.padEnd(5);
  const fields = Object.entries(record.properties).map(([key, value]) => {
    const text = typeof value === "string" ? value : inspect(value, { breakLength: Infinity });
    return ` ${key}=${/^[\w.:/[\]-]+$/.test(text) ? text : quote(text)}`;
  });
  const component = String(record.category[0]).padEnd(8);
  return `${time} ${level} ${component} ${messageOf(record)}${fields.join("")}\n`;
}

function quote(text: string): string {
  return encodeControls(JSON.stringify(text));
}

/**
 * JSON leaves DEL and the C1 control characters as they are, which some terminals obey, and the line ends
 * and directions of Unicode, which let a line look like another.
 */
function encodeControls(json: string): string {
  return json.replace(
    /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function logTapeLevel(level: LogLevel): LogTapeLevel {
  return level === "warn" ? "warning" : level;
}

function levelName(level: LogTapeLevel): string {
  return level === "warning" ? "warn" : level === "fatal" ? "error" : level;
}

/** As it was given: LogTape would fill in `{...}`, which a value in a mistake may well hold. */
function messageOf({ rawMessage }: LogRecord): string {
  return typeof rawMessage === "string" ? rawMessage : rawMessage.join("");
}
