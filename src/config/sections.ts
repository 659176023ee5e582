import { type Component, COMPONENTS, LOG_LEVELS, type LogLevel } from "../log/log.ts";
import { PROFILE_NAME } from "../protocol/request.ts";
import type { MachineCas } from "../tls/machine_cas.ts";
import { loadTlsProfile, type TlsProfile, type TlsProfileSettings } from "../tls/profile.ts";
import { bool, file, type Kind, serverName, suggest, wrongValue } from "./kinds.ts";
import { TOML_KEYS } from "./settings.ts";
import type { TomlEntry } from "./toml.ts";

/**
 * In TOML, all keys below the head of a table belong to that table, up to the next head.
 *
 * @param key a key as it stands in a table
 * @returns what is wrong with it where it is the key of a setting
 */
export function misplacedSetting(key: string): string | undefined {
  return TOML_KEYS.has(key) ? "a setting, which must stand above the first [table]" : undefined;
}

/** The keys of `[tls.NAME]`. */
export const TLS_PROFILE_KEYS = {
  ca_file: { field: "caFile", kind: file, help: "CAs to trust, PEM" },
  cert_file: { field: "certFile", kind: file, help: "Client certificate with its chain, PEM" },
  key_file: {
    field: "keyFile",
    kind: file,
    help: "Key of the client certificate, PEM, unless it stands in cert_file",
  },
  server_name: {
    field: "serverName",
    kind: serverName,
    help: "Name sent as SNI and looked for in the certificate, instead of the request's",
  },
  insecure_skip_verify: {
    field: "insecureSkipVerify",
    kind: bool,
    help: "Take any certificate; for tests",
  },
  require_alpn: {
    field: "requireAlpn",
    kind: bool,
    help: "Refuse a server that does not offer HTTP/2 (ALPN); unless set, as at the top level",
  },
} as const satisfies Record<
  string,
  { readonly field: keyof TlsProfileSettings; readonly kind: Kind<unknown>; readonly help: string }
>;

/** Where a TLS profile has its certificates from. */
export interface TlsFiles {
  /** Reads a file; throws when it cannot. */
  readonly readTextFile: (path: string) => string;
  readonly machineCas: MachineCas;
}

/**
 * Reads the tables `[tls.NAME]` and the files that they name.
 *
 * @param general the settings of profiles that do not set them themselves
 * @param mistakes takes one line per mistake
 * @returns the profiles by their name
 */
export async function readTlsProfiles(
  entries: readonly TomlEntry[],
  general: Pick<TlsProfileSettings, "requireAlpn">,
  files: TlsFiles,
  mistakes: string[],
): Promise<ReadonlyMap<string, TlsProfile>> {
  const profiles = new Map<string, TlsProfile>();
  for (const [name, rows] of Map.groupBy(entries, ({ path }) => path[1] ?? "")) {
    const source = rows[0]?.source ?? "";
    if (!PROFILE_NAME.test(name)) {
      mistakes.push(wrongValue("tls", source, name, "a profile's name (letters, digits, - and _)"));
      continue;
    }
    const keys = rows.filter(({ path }) => path.length > 2);
    const settings = { ...general, ...readKeys(name, keys, mistakes) };
    const profile = await readTlsProfile(
      name,
      settings,
      {
        name: (key) => `tls.${name}.${key}`,
        source: (key) => rows.find(({ path }) => path[2] === key)?.source ?? source,
      },
      files,
      mistakes,
    );
    if (profile !== undefined) profiles.set(name, profile);
  }
  return profiles;
}

/**
 * Reads the files of one profile.
 *
 * @param label gives the name of a key, and where its value came from, for messages
 * @returns the profile, or `undefined` when there are mistakes
 */
export async function readTlsProfile(
  name: string,
  settings: TlsProfileSettings,
  label: Record<"name" | "source", (key: "ca_file" | "cert_file" | "key_file") => string>,
  files: TlsFiles,
  mistakes: string[],
): Promise<TlsProfile | undefined> {
  if (settings.certFile === undefined && settings.keyFile !== undefined) {
    mistakes.push(
      `${label.name("key_file")} (from ${label.source("key_file")}): ${label.name("cert_file")} ` +
        "is missing; they come together",
    );
    return undefined;
  }
  const loaded = await loadTlsProfile(name, settings, files.readTextFile, files.machineCas);
  if (loaded.ok) return loaded.profile;
  for (const { setting, path, reason } of loaded.mistakes) {
    const [name, source] = [label.name(setting), label.source(setting)];
    mistakes.push(`${name} (from ${source}): ${JSON.stringify(path)} cannot be used: ${reason}`);
  }
  return undefined;
}

function readKeys(
  profile: string,
  rows: readonly TomlEntry[],
  mistakes: string[],
): TlsProfileSettings {
  const settings: Record<string, unknown> = {};
  for (const { path, value, source } of rows) {
    const key = path.slice(2).join(".");
    const row = Object.entries(TLS_PROFILE_KEYS).find(([name]) => name === key)?.[1];
    const read = row?.kind.fromToml(value);
    if (row === undefined) {
      const what = misplacedSetting(key) ??
        `unknown key${suggest(key, Object.keys(TLS_PROFILE_KEYS))}`;
      mistakes.push(`tls.${profile}.${key} (from ${source}): ${what}`);
    } else if (read === undefined) {
      mistakes.push(wrongValue(`tls.${profile}.${key}`, source, value, row.kind.accepted));
    } else {
      settings[row.field] = read;
    }
  }
  return settings;
}

/** gRPC's rule for names of ASCII metadata, without those that gRPC keeps for itself. */
const NAME = /^(?!grpc-)(?!.*-bin$)[0-9a-z_.-]+$/;

/** Visible ASCII and blanks, as HTTP/2 carries it. */
const VALUE = /^[\x20-\x7e]*$/;

/** Names that gRPC sets itself, and those that make a request malformed (RFC 9113, section 8.2.2). */
const RESERVED = new Set([
  ...["te", "content-type", "user-agent", "host", "content-length"],
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"],
]);

const ACCEPTED_NAME = "a name of ASCII metadata (a-z 0-9 _ . -; not grpc-..., ...-bin, or one of " +
  "HTTP's own, such as host)";

const FROM_ENVIRONMENT = "env:";

/**
 * Reads `[metadata]`: what each health RPC carries along. A value `env:NAME` is read from the
 * environment, so that a secret need not stand in the file.
 *
 * @param mistakes takes one line per mistake; a value never stands in it
 * @param warnings takes one line per variable that is empty, which leaves its name out
 */
export function readMetadata(
  entries: readonly TomlEntry[],
  environment: Readonly<Record<string, string>>,
  mistakes: string[],
  warnings: string[],
): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  const names = new Set<string>();
  for (const { path, value, source } of entries) {
    const name = path.slice(1).join(".").toLowerCase();
    const key = `metadata.${name}`;
    if (names.has(name)) {
      mistakes.push(
        `${key} (from ${source}): this name has a value already; its case does not count`,
      );
      continue;
    }
    names.add(name);
    // Settings of one word (`fall`, `rise`) may well be meant as metadata.
    const misplaced = /[_.]/.test(name) ? misplacedSetting(name) : undefined;
    if (misplaced !== undefined) {
      mistakes.push(`${key} (from ${source}): ${misplaced}`);
      continue;
    }
    if (!NAME.test(name) || RESERVED.has(name)) {
      mistakes.push(
        wrongValue("metadata", source, name, ACCEPTED_NAME),
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
      } else if (secret.trim() === "") {
        warnings.push(
          `${key} (from ${source}): the variable ${variable} is empty, so ${name} is not sent`,
        );
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

/** What the Rust agent calls itself in its `[logging.packages]`. Its modules correspond to components here. */
const RUST_PACKAGE = /^haproxy_grpc_agent(?:::(\w+))?$/;

/**
 * Reads `[logging.packages]`: the level of each component. The names that a configuration of the Rust
 * agent holds are understood; the packages it is made of (`tonic`) do not exist here and only give a
 * warning.
 *
 * @param mistakes takes one line per mistake
 * @param warnings takes one line per name that is passed over
 */
export function readLogPackages(
  entries: readonly TomlEntry[],
  mistakes: string[],
  warnings: string[],
): ReadonlyMap<Component, LogLevel> {
  const levels = new Map<Component, LogLevel>();
  // The whole agent before its components, so that these count, whatever the order in the file.
  const whole = entries.filter(({ path }) => path[2] === "haproxy_grpc_agent");
  for (const entry of [...whole, ...entries.filter((entry) => !whole.includes(entry))]) {
    const { path, value, source } = entry;
    const name = path.slice(2).join(".");
    const misplaced = misplacedSetting(name) ?? misplacedInPackages(name);
    if (misplaced !== undefined) {
      mistakes.push(`logging.packages.${name} (from ${source}): ${misplaced}`);
      continue;
    }
    const level = LOG_LEVELS.find((level) => level === value);
    const components = componentsOf(name);
    if (level === undefined) {
      const accepted = `one of ${LOG_LEVELS.join(", ")}`;
      mistakes.push(wrongValue(`logging.packages.${name}`, source, value, accepted));
    } else if (components.length === 0) {
      warnings.push(`logging.packages.${name} (from ${source}): no such component, passed over`);
    }
    for (const component of components) if (level !== undefined) levels.set(component, level);
  }
  return levels;
}

function misplacedInPackages(key: string): string | undefined {
  return TOML_KEYS.has(`logging.${key}`)
    ? "a setting of [logging], which must stand above [logging.packages]"
    : undefined;
}

function componentsOf(name: string): readonly Component[] {
  const rust = RUST_PACKAGE.exec(name);
  if (rust !== null && rust[1] === undefined) return COMPONENTS;
  return COMPONENTS.filter((component) => component === (rust?.[1] ?? name));
}
