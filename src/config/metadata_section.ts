import { wrongValue } from "./mistakes.ts";
import type { TomlEntry } from "./toml_file.ts";

/** gRPC's rule for names of ASCII metadata, without those that gRPC keeps for itself. */
const NAME = /^(?!grpc-)(?!.*-bin$)[0-9a-z_.-]+$/;

/** Visible ASCII and blanks, as HTTP/2 carries it. */
const VALUE = /^[\x20-\x7e]*$/;

/** Names that HTTP/2 or gRPC set themselves. */
const RESERVED = new Set(["te", "content-type", "user-agent", "host", "connection"]);

const FROM_ENVIRONMENT = "env:";

/**
 * Reads `[metadata]`: what each health RPC carries along. A value `env:NAME` is read from the
 * environment, so that a secret need not stand in the file.
 *
 * @param mistakes takes one line per mistake; a value never stands in it
 */
export function readMetadata(
  entries: readonly TomlEntry[],
  environment: Readonly<Record<string, string>>,
  mistakes: string[],
): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  for (const { path, value, source } of entries) {
    const name = path.slice(1).join(".").toLowerCase();
    const key = `metadata.${name}`;
    if (!NAME.test(name) || RESERVED.has(name)) {
      mistakes.push(
        wrongValue("metadata", source, name, "a name of ASCII metadata (a-z 0-9 _ . -)"),
      );
    } else if (typeof value !== "string") {
      mistakes.push(`${key} (from ${source}): the value is not a text`);
    } else if (!value.startsWith(FROM_ENVIRONMENT)) {
      take(name, value, source);
    } else {
      const variable = value.slice(FROM_ENVIRONMENT.length);
      const secret = environment[variable];
      if (secret === undefined) {
        mistakes.push(`${key} (from ${source}): the variable ${variable} is not set`);
      } else {
        take(name, secret, `${source}, ${variable}`);
      }
    }
  }
  return metadata;

  function take(name: string, value: string, source: string): void {
    if (VALUE.test(value)) metadata.set(name, value);
    else mistakes.push(`metadata.${name} (from ${source}): the value is not visible ASCII`);
  }
}
