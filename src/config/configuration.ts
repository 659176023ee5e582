import type { BackendRules, ClientRules } from "../access/rules.ts";
import type { Component, LogLevel } from "../log/log.ts";
import { certificateWarning, keyWarning, ownCertificates } from "../tls/client_certificate.ts";
import type { TlsProfile } from "../tls/profile.ts";
import { TLS_PROFILE_KEYS } from "./sections.ts";
import { SETTING_ROWS, type Settings } from "./settings.ts";

/** Everything that the agent is told. */
export interface Configuration {
  readonly settings: Settings;
  /** By their names in requests (`tls=NAME`); the one of `tls_ca_file` and the like has the empty name. */
  readonly tlsProfiles: ReadonlyMap<string, TlsProfile>;
  /** Request metadata, name to value. Secret. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly clientRules: ClientRules;
  readonly backendRules: BackendRules;
  /** Levels of components that differ from `log_level`. */
  readonly logLevels: ReadonlyMap<Component, LogLevel>;
}

/** A configuration in the form of its TOML file. */
export type EffectiveConfiguration = Readonly<Record<string, unknown>>;

/** What stands in place of a secret. */
const HIDDEN = "(hidden)";

const LOG_SECTION = "logging.";

/**
 * Shows a configuration as it is in force, for the log and for `--check-config`: each setting under its
 * TOML key, so that what is printed can be read again. Request metadata is shown by its names alone.
 */
export function effectiveConfiguration(configuration: Configuration): EffectiveConfiguration {
  const { settings, tlsProfiles, metadata, logLevels } = configuration;
  const named = [...tlsProfiles].filter(([name]) => name !== "");
  const tls = named.map(([name, { settings }]) => {
    const rows = Object.entries(TLS_PROFILE_KEYS)
      .map(([key, { field }]) => [key, settings[field]] as const);
    return [name, thatAreSet(rows)];
  });
  const values: Readonly<Record<string, unknown>> = settings;
  const rows = SETTING_ROWS.map(({ key, toml }) => [toml.at(-1) ?? key, values[key]] as const);
  const isOfLog = ([path]: readonly [string, unknown]) => path.startsWith(LOG_SECTION);
  return {
    ...thatAreSet(rows.filter((row) => !isOfLog(row))),
    logging: {
      ...thatAreSet(
        rows.filter(isOfLog).map(([path, value]) => [path.slice(LOG_SECTION.length), value]),
      ),
      ...(logLevels.size > 0 ? { packages: Object.fromEntries(logLevels) } : {}),
    },
    ...(tls.length > 0 ? { tls: Object.fromEntries(tls) } : {}),
    ...(metadata.size > 0
      ? { metadata: Object.fromEntries([...metadata.keys()].map((name) => [name, HIDDEN])) }
      : {}),
  };
}

/** Leaves out what is not set: TOML has no value for that, and an empty list would be a mistake. */
function thatAreSet(rows: readonly (readonly [string, unknown])[]): EffectiveConfiguration {
  return Object.fromEntries(
    rows.filter(([, value]) =>
      value !== undefined && !(Array.isArray(value) && value.length === 0)
    ),
  );
}

/** @returns what is in force once `after` has been read: its settings, except those that need a restart */
export function withoutRestart(before: Configuration, after: Configuration): Configuration {
  const kept = SETTING_ROWS.filter(({ restart }) => restart === true)
    .map(({ key }) => [key, valueOf(before, key)]);
  return { ...after, settings: { ...after.settings, ...Object.fromEntries(kept) } };
}

/** @returns the keys of all that differs; TLS profiles count by the content of their files */
export function differences(one: Configuration, other: Configuration): string[] {
  const settings = SETTING_ROWS.map(({ key }) => key)
    .filter((key) => JSON.stringify(valueOf(one, key)) !== JSON.stringify(valueOf(other, key)));
  const fingerprints = ({ tlsProfiles }: Configuration) =>
    new Map([...tlsProfiles].map(([name, { fingerprint }]) => [name, fingerprint]));
  return [
    ...settings,
    ...changedKeys(fingerprints(one), fingerprints(other))
      .map((name) => name === "" ? "tls (what its files hold)" : `tls.${name}`),
    ...changedKeys(one.metadata, other.metadata).map((name) => `metadata.${name}`),
    ...changedKeys(one.logLevels, other.logLevels).map((name) => `logging.packages.${name}`),
  ];
}

function valueOf({ settings }: Configuration, key: string): unknown {
  return (settings as Readonly<Record<string, unknown>>)[key];
}

function changedKeys(
  one: ReadonlyMap<string, unknown>,
  other: ReadonlyMap<string, unknown>,
): string[] {
  return [...new Set([...one.keys(), ...other.keys()])]
    .filter((key) => one.get(key) !== other.get(key));
}

/** HAProxy's default `agent-inter`, less some time for the reply to arrive, in milliseconds. */
const SAFE_CHECK_TIMEOUT_MS = 1950;

/** A shorter time to answer was probably meant in seconds. */
const LEAST_LIKELY_MS = 20;

/**
 * @param now for the certificates' validity
 * @returns one line for each thing that is accepted but hardly meant
 */
export function warningsAbout(
  { settings, tlsProfiles, metadata }: Configuration,
  now: Date,
): string[] {
  const warnings: string[] = [];
  if (settings.check_timeout_ms > SAFE_CHECK_TIMEOUT_MS) {
    warnings.push(
      `check_timeout_ms: ${settings.check_timeout_ms} is more than ${SAFE_CHECK_TIMEOUT_MS}: HAProxy ` +
        "gives up after agent-inter (2 s unless set) and then keeps a dead server UP",
    );
  }
  for (
    const key of ["check_timeout_ms", "grpc_connect_timeout_ms", "grpc_rpc_timeout_ms"] as const
  ) {
    const ms = settings[key];
    if (ms < LEAST_LIKELY_MS) {
      warnings.push(`${key}: ${ms} are milliseconds: a backend that takes longer is down`);
    }
  }
  const open = settings.server_bind_address.filter((address) => !isLoopback(address));
  if (open.length > 0 && settings.allow_clients.length + settings.allow_backends.length === 0) {
    warnings.push(
      `server_bind_address: whoever reaches ${
        open.join(", ")
      } can have the agent connect to any host ` +
        "and port: set allow_clients or allow_backends",
    );
  }
  if (metadata.size > 0 && settings.allow_backends.length === 0) {
    warnings.push("metadata: whoever may ask can have it sent to any host: set allow_backends");
  }
  if (settings.log_destination === "console" && settings.log_file_path !== undefined) {
    warnings.push("log_file_path: without log_destination = file no file is written");
  }
  if (settings.log_file_rotation === "never" && settings.log_file_max_files !== undefined) {
    warnings.push(
      "log_file_max_files: without log_file_rotation there is one file, which only grows",
    );
  }
  for (const profile of tlsProfiles.values()) {
    const { name, settings, lacksCas } = profile;
    if (lacksCas !== undefined) {
      const checks = name === "" ? "with ssl" : `with tls=${name}`;
      warnings.push(
        `${name === "" ? "tls_" : `tls.${name}.`}ca_file: checks ${checks} are down. ${lacksCas}`,
      );
    }
    if (settings.insecureSkipVerify === true) {
      warnings.push(
        `tls.${name}.insecure_skip_verify: any certificate is taken, so anybody can answer`,
      );
    }
    const ofKey = keyWarning(profile);
    if (ofKey !== undefined) warnings.push(ofKey);
  }
  const certificates = ownCertificates(tlsProfiles.values());
  return [...warnings, ...certificates.flatMap((one) => certificateWarning(one, now) ?? [])];
}

function isLoopback(address: string): boolean {
  return address === "localhost" || address === "::1" || /^127\.\d+\.\d+\.\d+$/.test(address);
}
