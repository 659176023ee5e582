import { isBrokenIPv4, parseHost } from "../protocol/host.ts";

/** A kind of setting: what it accepts, in words and in code. */
export interface Kind<Value> {
  /** What is accepted, as a mistake or the help says it. */
  readonly accepted: string;
  /** What the value is called in the help: `PORT`, `MS`. */
  readonly placeholder: string;
  /** Whether the flag may stand alone, meaning `true`. */
  readonly isSwitch?: boolean;
  /** Whether blanks at the ends of a text may be part of the value. */
  readonly keepsBlanks?: boolean;
  /** Whether an empty variable is a mistake, and not the same as none. */
  readonly refusesEmpty?: boolean;
  /** @returns the value of a text from the command line or the environment, or `undefined` */
  readonly fromText: (text: string) => Value | undefined;
  /** @returns the value of a TOML value, or `undefined` */
  readonly fromToml: (value: unknown) => Value | undefined;
}

/** A kind whose TOML form is a string that is read as on the command line. */
function textKind<Value>(
  accepted: string,
  placeholder: string,
  fromText: (text: string) => Value | undefined,
): Kind<Value> {
  const fromToml = (value: unknown) => typeof value === "string" ? fromText(value) : undefined;
  return { accepted, placeholder, fromText, fromToml };
}

/** A whole number in decimal digits, `min` to `max`. */
export function integer(min: number, max: number, placeholder: string): Kind<number> {
  const inRange = (value: number) => value >= min && value <= max ? value : undefined;
  return {
    accepted: max === Number.MAX_SAFE_INTEGER
      ? `a whole number, ${min} or more`
      : `a whole number from ${min} to ${max}`,
    placeholder,
    fromText: (text) => /^\d{1,15}$/.test(text) ? inRange(Number(text)) : undefined,
    fromToml: (value) =>
      typeof value === "number" && Number.isInteger(value) ? inRange(value) : undefined,
  };
}

/** A whole number without an upper bound of its own. */
export function atLeast(min: number, placeholder: string): Kind<number> {
  return integer(min, Number.MAX_SAFE_INTEGER, placeholder);
}

/** A TCP port. */
export const port: Kind<number> = integer(1, 65535, "PORT");

/** The longest time that Node's timers take, in milliseconds. */
const LONGEST_TIMER_MS = 2_147_483_647;

/** A time in milliseconds. */
export function milliseconds(min: number, max = LONGEST_TIMER_MS): Kind<number> {
  return integer(min, max, "MS");
}

/** `true` or `false`; in any case, as the Rust agent reads its environment. */
export const bool: Kind<boolean> = {
  accepted: "true or false",
  placeholder: "true|false",
  isSwitch: true,
  fromText: (text) => new Map([["true", true], ["false", false]]).get(text.toLowerCase()),
  fromToml: (value) => typeof value === "boolean" ? value : undefined,
};

/** One of some words; in any case, as the Rust agent reads its environment. */
export function choice<const Word extends string>(words: readonly Word[]): Kind<Word> {
  return textKind(
    `one of ${words.join(", ")}`,
    words.join("|"),
    (text) => words.find((word) => word === text.toLowerCase()),
  );
}

/** An IP address or a host name to listen on. */
export const address: Kind<string> = textKind(
  "an IP address or a host name",
  "ADDRESS",
  hostOf,
);

/** One address to listen on, or in TOML a list of them. */
export const addresses: Kind<readonly string[]> = {
  accepted: "an IP address or a host name (in TOML also a list of them)",
  placeholder: "ADDRESS",
  fromText: (text) => atLeastOne(hostsOf([text])),
  fromToml: (value) => atLeastOne(hostsOf(stringsOf(typeof value === "string" ? [value] : value))),
};

/**
 * Texts separated by commas, or a TOML list. An empty list is a mistake: it might be meant to allow nobody, and
 * would allow everybody.
 */
export const list: Kind<readonly string[]> = {
  accepted: "a list with at least one entry (outside TOML separated by commas)",
  placeholder: "LIST",
  refusesEmpty: true,
  fromText: (text) =>
    atLeastOne(text.split(",").map((part) => part.trim()).filter((part) => part !== "")),
  fromToml: (value) => atLeastOne(stringsOf(value)),
};

/** The path of a file. Whether the file can be used shows when it is read. */
export const file: Kind<string | undefined> = {
  ...textKind("the path of a file", "FILE", (text) => text === "" ? undefined : text),
  keepsBlanks: true,
};

/** A name that a certificate can carry: a DNS name or an IP address. */
export const serverName: Kind<string> = textKind(
  "a DNS name or an IP address",
  "NAME",
  parseHost,
);

function hostOf(text: string): string | undefined {
  return isBrokenIPv4(text) ? undefined : parseHost(text);
}

/** @returns the hosts, or `undefined` where one is none */
function hostsOf(texts: readonly string[] | undefined): readonly string[] | undefined {
  const hosts = texts?.flatMap((text) => hostOf(text) ?? []);
  return hosts?.length === texts?.length ? hosts : undefined;
}

function stringsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === "string")
    ? value
    : undefined;
}

function atLeastOne(list: readonly string[] | undefined): readonly string[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}

/**
 * Says what is wrong with a setting: its name, where it came from, the value, and what is accepted.
 *
 * @param source a flag, a variable, or a file with its line
 */
export function wrongValue(name: string, source: string, value: unknown, accepted: string): string {
  return `${name} (from ${source}): ${JSON.stringify(value)} is not ${accepted}`;
}

/** @returns a hint at what somebody may have meant, with a blank before it; empty when nothing known is near */
export function suggest(typed: string, known: readonly string[], prefix = ""): string {
  const limit = Math.max(1, Math.floor(typed.length / 3));
  const [nearest] = known
    .map((name) => ({ name, distance: editDistance(typed, name) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance);
  return nearest === undefined ? "" : ` (did you mean ${prefix}${nearest.name}?)`;
}

/** Levenshtein's: insertions, deletions and replacements between two texts. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
