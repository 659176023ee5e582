/** A kind of setting: what it accepts, in words and in code. */
export interface Kind<Value> {
  /** What is accepted, as a mistake or the help says it. */
  readonly accepted: string;
  /** How the value is called in the help: `PORT`, `MS`. */
  readonly placeholder: string;
  /** Whether the flag may stand alone, meaning `true`. */
  readonly isSwitch?: boolean;
  /** @returns the value of a text from the command line or the environment, or `undefined` */
  readonly read: (text: string) => Value | undefined;
}

/** A whole number in decimal digits, `min` to `max`. */
export function integer(min: number, max: number, placeholder: string): Kind<number> {
  return {
    accepted: `a whole number from ${min} to ${max}`,
    placeholder,
    read: (text) => {
      if (!/^\d{1,10}$/.test(text)) return undefined;
      const value = Number(text);
      return value >= min && value <= max ? value : undefined;
    },
  };
}

/** A TCP port. */
export const port: Kind<number> = integer(1, 65535, "PORT");

/** A time in milliseconds. */
export function milliseconds(min: number, max: number): Kind<number> {
  return integer(min, max, "MS");
}

/** `true` or `false`. */
export const bool: Kind<boolean> = {
  accepted: "true or false",
  placeholder: "true|false",
  isSwitch: true,
  read: (text) => text === "true" ? true : text === "false" ? false : undefined,
};

/** One of some words. */
export function choice<const Word extends string>(words: readonly Word[]): Kind<Word> {
  return {
    accepted: `one of ${words.join(", ")}`,
    placeholder: words.join("|"),
    read: (text) => words.find((word) => word === text),
  };
}

/** An IP address or a host name to listen on. */
export const address: Kind<string> = {
  accepted: "an IP address or a host name",
  placeholder: "ADDRESS",
  read: (text) => /^[A-Za-z0-9._:-]+$/.test(text) ? text : undefined,
};

/** The path of a file; whether it can be read is seen when it is read. */
export const file: Kind<string | undefined> = {
  accepted: "the path of a file",
  placeholder: "FILE",
  read: (text) => text === "" ? undefined : text,
};
