import { LOG_FORMATS, LOG_LEVELS } from "../observe/log.ts";
import { address, choice, file, type Kind, milliseconds, port } from "./kinds.ts";

/** One setting: everything that is said of it anywhere comes from here. */
export interface Setting<Value> {
  /** The key in the TOML file, and in {@linkcode Config}. */
  readonly key: string;
  /** The environment variable, without {@linkcode ENV_PREFIX}. */
  readonly env: string;
  /** The flag, without `--`. */
  readonly flag: string;
  /** The heading it stands under in the help. */
  readonly group: string;
  readonly kind: Kind<Value>;
  readonly default: NoInfer<Value>;
  /** One sentence for the help. */
  readonly help: string;
}

/** What all the agent's environment variables begin with. */
export const ENV_PREFIX = "HAPROXY_AGENT_";

function setting<Value>(row: Omit<Setting<Value>, "key">): Omit<Setting<Value>, "key"> {
  return row;
}

/** The table of settings, in the order of the help. */
export const SETTINGS = {
  server_bind_address: setting({
    env: "SERVER_BIND",
    flag: "server-bind",
    group: "Agent",
    kind: address,
    default: "0.0.0.0",
    help: "Address on which HAProxy asks",
  }),
  server_port: setting({
    env: "SERVER_PORT",
    flag: "server-port",
    group: "Agent",
    kind: port,
    default: 5555,
    help: "Port on which HAProxy asks (its agent-port)",
  }),
  metrics_bind_address: setting({
    env: "METRICS_BIND",
    flag: "metrics-bind",
    group: "Metrics",
    kind: address,
    default: "0.0.0.0",
    help: "Address of /metrics, /healthz and /readyz",
  }),
  metrics_port: setting({
    env: "METRICS_PORT",
    flag: "metrics-port",
    group: "Metrics",
    kind: port,
    default: 9090,
    help: "Port of /metrics, /healthz and /readyz",
  }),
  check_timeout_ms: setting({
    env: "CHECK_TIMEOUT",
    flag: "check-timeout",
    group: "Checks",
    kind: milliseconds(1, 60_000),
    default: 1800,
    help: "Whole check, from the line to the reply; keep it below agent-inter",
  }),
  grpc_connect_timeout_ms: setting({
    env: "GRPC_CONNECT_TIMEOUT",
    flag: "grpc-connect-timeout",
    group: "Checks",
    kind: milliseconds(1, 60_000),
    default: 1000,
    help: "Look-up, TCP, TLS and HTTP/2 settings together",
  }),
  grpc_rpc_timeout_ms: setting({
    env: "GRPC_RPC_TIMEOUT",
    flag: "grpc-rpc-timeout",
    group: "Checks",
    kind: milliseconds(1, 60_000),
    default: 1500,
    help: "Health RPC, once connected",
  }),
  tls_ca_file: setting({
    env: "TLS_CA_FILE",
    flag: "tls-ca-file",
    group: "TLS to backends (ssl)",
    kind: file,
    default: undefined,
    help: "CAs to trust, PEM; default: those of the machine",
  }),
  log_level: setting({
    env: "LOG_LEVEL",
    flag: "log-level",
    group: "Log",
    kind: choice(LOG_LEVELS),
    default: "info",
    help: "Least level that is logged",
  }),
  log_format: setting({
    env: "LOG_FORMAT",
    flag: "log-format",
    group: "Log",
    kind: choice(LOG_FORMATS),
    default: "json",
    help: "json for machines, pretty for people",
  }),
};

type Settings = typeof SETTINGS;

/** The key of a setting. */
export type SettingKey = keyof Settings;

/** The values of all settings. */
export type Config = {
  readonly [Key in SettingKey]: Settings[Key]["default"];
};

/** The settings as rows, for code that treats them all alike. */
export const SETTING_ROWS: readonly Setting<unknown>[] = Object.entries(SETTINGS).map(
  ([key, setting]) => ({ key, ...setting }),
);
