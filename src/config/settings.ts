import { LOG_FILE_ROTATIONS } from "../log/file.ts";
import { LOG_CHECKS, LOG_FORMATS, LOG_LEVELS } from "../log/log.ts";
import { NOT_SERVING_REPLIES } from "../protocol/reply.ts";
import {
  address,
  addresses,
  atLeast,
  bool,
  choice,
  file,
  integer,
  type Kind,
  list,
  milliseconds,
  port,
} from "./kinds.ts";

/** One setting. Its flag, variable, TOML key, help and documents are all made from this. */
export interface Setting<Value> {
  /** Its name in {@linkcode Settings} and in messages. */
  readonly key: string;
  /** Its key in the TOML file (`logging.file_path` is `file_path` in `[logging]`), strongest first. */
  readonly toml: readonly string[];
  /** The environment variable, without {@linkcode ENV_PREFIX}. */
  readonly env: string;
  /** The flag, without `--`. */
  readonly flag: string;
  /** The heading it stands under in the help. */
  readonly group: string;
  readonly kind: Kind<Value>;
  readonly default: NoInfer<Value>;
  /** What the default is, where its value does not say it. */
  readonly defaultText?: string;
  /** One line for the help. */
  readonly help: string;
  /** Whether a change needs a restart: SIGHUP cannot make it. */
  readonly restart?: boolean;
}

/** Values of `grpc_client`: the agent's own client, or that of the library. */
const GRPC_CLIENTS = ["native", "grpc-js"] as const;

/** What all the agent's environment variables begin with. */
export const ENV_PREFIX = "HAPROXY_AGENT_";

type Row<Value> = Omit<Setting<Value>, "key" | "toml"> & { readonly toml?: readonly string[] };

function setting<Value>(row: Row<Value>): Row<Value> {
  return row;
}

/** The table of settings, in the order of the help. The default of `toml` is the key itself. */
export const SETTINGS = {
  server_bind_address: setting({
    env: "SERVER_BIND",
    flag: "server-bind",
    group: "Agent",
    kind: addresses,
    default: ["0.0.0.0"],
    help: "Address on which HAProxy asks; of a name, all of them",
    restart: true,
  }),
  server_port: setting({
    env: "SERVER_PORT",
    flag: "server-port",
    group: "Agent",
    kind: port,
    default: 5555,
    help: "Port on which HAProxy asks (its agent-port)",
    restart: true,
  }),
  shutdown_timeout_ms: setting({
    env: "SHUTDOWN_TIMEOUT",
    flag: "shutdown-timeout",
    group: "Agent",
    kind: milliseconds(1, 60_000),
    default: 2500,
    help: "From SIGTERM to the exit at the latest",
  }),
  check_timeout_ms: setting({
    env: "CHECK_TIMEOUT",
    flag: "check-timeout",
    group: "Checks",
    kind: milliseconds(1, 60_000),
    default: 1800,
    help: "Whole check, from line to reply; below agent-inter",
  }),
  grpc_connect_timeout_ms: setting({
    env: "GRPC_CONNECT_TIMEOUT",
    flag: "grpc-connect-timeout",
    group: "Checks",
    kind: milliseconds(1, 60_000),
    default: 1000,
    help: "Name look-up, TCP, TLS and HTTP/2 settings together",
  }),
  grpc_rpc_timeout_ms: setting({
    env: "GRPC_RPC_TIMEOUT",
    flag: "grpc-rpc-timeout",
    group: "Checks",
    kind: milliseconds(1, 60_000),
    default: 1500,
    help: "Health RPC, once connected",
  }),
  grpc_channel_cache_enabled: setting({
    env: "GRPC_CHANNEL_CACHE",
    flag: "grpc-channel-cache",
    group: "Checks",
    kind: bool,
    default: true,
    help: "Keep connections to backends for the next check",
  }),
  channel_idle_timeout_ms: setting({
    env: "CHANNEL_IDLE_TIMEOUT",
    flag: "channel-idle-timeout",
    group: "Checks",
    kind: milliseconds(1000),
    default: 300_000,
    help: "Close a kept connection unused for so long",
  }),
  max_channels: setting({
    env: "MAX_CHANNELS",
    flag: "max-channels",
    group: "Checks",
    kind: atLeast(1, "N"),
    default: 4096,
    help: "Kept connections; the least recently used one goes",
  }),
  coalesce_checks: setting({
    env: "COALESCE_CHECKS",
    flag: "coalesce-checks",
    group: "Checks",
    kind: bool,
    default: true,
    help: "Equal checks under way at once share one RPC",
  }),
  verdict_max_age_ms: setting({
    env: "VERDICT_MAX_AGE",
    flag: "verdict-max-age",
    group: "Checks",
    kind: milliseconds(0, 60_000),
    default: 0,
    help: "A verdict at most this old answers again; 0: none does",
  }),
  learn_patience: setting({
    env: "LEARN_PATIENCE",
    flag: "learn-patience",
    group: "Checks",
    kind: bool,
    default: true,
    help: "Answer before a client that keeps giving up does so",
  }),
  grpc_client: setting({
    env: "GRPC_CLIENT",
    flag: "grpc-client",
    group: "Checks",
    kind: choice(GRPC_CLIENTS),
    default: "native",
    help: "Which gRPC client asks the backends",
  }),
  fall: setting({
    env: "FALL",
    flag: "fall",
    group: "Verdicts",
    kind: integer(1, 100, "N"),
    default: 1,
    help: "Failed checks in a row that take a backend down",
  }),
  rise: setting({
    env: "RISE",
    flag: "rise",
    group: "Verdicts",
    kind: integer(1, 100, "N"),
    default: 1,
    help: "Good checks in a row that bring it up again",
  }),
  reply_reason: setting({
    env: "REPLY_REASON",
    flag: "reply-reason",
    group: "Verdicts",
    kind: bool,
    default: false,
    help: "Add the reason, which HAProxy shows: down #NOT_SERVING",
  }),
  not_serving_reply: setting({
    env: "NOT_SERVING_REPLY",
    flag: "not-serving-reply",
    group: "Verdicts",
    kind: choice(NOT_SERVING_REPLIES),
    default: "down",
    help: "Reply where a backend says NOT_SERVING of itself",
  }),
  tls_ca_file: setting({
    env: "TLS_CA_FILE",
    flag: "tls-ca-file",
    group: "TLS to backends (ssl)",
    kind: file,
    default: undefined,
    defaultText: "the CAs of the machine",
    help: "CAs to trust, PEM",
  }),
  tls_cert_file: setting({
    env: "TLS_CERT_FILE",
    flag: "tls-cert-file",
    group: "TLS to backends (ssl)",
    kind: file,
    default: undefined,
    defaultText: "none",
    help: "Client certificate (mTLS) with its chain, PEM",
  }),
  tls_key_file: setting({
    env: "TLS_KEY_FILE",
    flag: "tls-key-file",
    group: "TLS to backends (ssl)",
    kind: file,
    default: undefined,
    defaultText: "none",
    help: "Its key, PEM, unless in tls_cert_file too",
  }),
  require_alpn: setting({
    env: "REQUIRE_ALPN",
    flag: "require-alpn",
    group: "TLS to backends (ssl)",
    kind: bool,
    default: true,
    help: "Refuse a server that does not offer HTTP/2 (ALPN)",
  }),
  allow_clients: setting({
    env: "ALLOW_CLIENTS",
    flag: "allow-clients",
    group: "Access",
    kind: list,
    default: [],
    defaultText: "everybody",
    help: "Networks (CIDR) that may ask",
  }),
  allow_backends: setting({
    env: "ALLOW_BACKENDS",
    flag: "allow-backends",
    group: "Access",
    kind: list,
    default: [],
    defaultText: "everything",
    help: "Networks, host patterns; each with :port, :from-to",
  }),
  max_connections: setting({
    env: "MAX_CONNECTIONS",
    flag: "max-connections",
    group: "Limits",
    kind: atLeast(1, "N"),
    default: 10_000,
    help: "Clients at once; one more is closed at once",
  }),
  max_line_bytes: setting({
    env: "MAX_LINE_BYTES",
    flag: "max-line-bytes",
    group: "Limits",
    kind: integer(64, 65_536, "BYTES"),
    default: 1024,
    help: "Longest request line; a longer one closes the connection",
  }),
  request_timeout_ms: setting({
    env: "REQUEST_TIMEOUT",
    flag: "request-timeout",
    group: "Limits",
    kind: milliseconds(1),
    default: 10_000,
    help: "From the first byte of a line to its end",
  }),
  idle_timeout_ms: setting({
    env: "IDLE_TIMEOUT",
    flag: "idle-timeout",
    group: "Limits",
    kind: milliseconds(1),
    default: 300_000,
    help: "Close a connection without a request for so long",
  }),
  metrics_enabled: setting({
    env: "METRICS_ENABLED",
    flag: "metrics-enabled",
    group: "HTTP (status page, metrics, probes)",
    kind: bool,
    default: true,
    help: "Serve the status page, /metrics and the probes",
    restart: true,
  }),
  metrics_bind_address: setting({
    env: "METRICS_BIND",
    flag: "metrics-bind",
    group: "HTTP (status page, metrics, probes)",
    kind: address,
    default: "0.0.0.0",
    help: "Address to serve them on; of a name, all of them",
    restart: true,
  }),
  metrics_port: setting({
    env: "METRICS_PORT",
    flag: "metrics-port",
    group: "HTTP (status page, metrics, probes)",
    kind: port,
    default: 9090,
    help: "Port to serve them on",
    restart: true,
  }),
  metrics_backend_up: setting({
    env: "METRICS_BACKEND_UP",
    flag: "metrics-backend-up",
    group: "HTTP (status page, metrics, probes)",
    kind: bool,
    default: false,
    help: "A metric per backend as well (at most 1000)",
  }),
  log_level: setting({
    toml: ["logging.level", "log_level"],
    env: "LOG_LEVEL",
    flag: "log-level",
    group: "Log",
    kind: choice(LOG_LEVELS),
    default: "info",
    help: "Least level that is logged",
  }),
  log_format: setting({
    toml: ["logging.format", "log_format"],
    env: "LOG_FORMAT",
    flag: "log-format",
    group: "Log",
    kind: choice(LOG_FORMATS),
    default: "json",
    help: "json for machines, pretty for people",
  }),
  log_checks: setting({
    env: "LOG_CHECKS",
    flag: "log-checks",
    group: "Log",
    kind: choice(LOG_CHECKS),
    default: "all",
    help: "Which answers are logged at level info",
  }),
  log_destination: setting({
    toml: ["logging.destination"],
    env: "LOG_DESTINATION",
    flag: "log-destination",
    group: "Log",
    kind: choice(["console", "file"]),
    default: "console",
    help: "console is stderr",
    restart: true,
  }),
  log_file_path: setting({
    toml: ["logging.file_path"],
    env: "LOG_FILE_PATH",
    flag: "log-file-path",
    group: "Log",
    kind: file,
    default: undefined,
    defaultText: "none",
    help: "Needed with the destination file; its folder is made",
    restart: true,
  }),
  log_file_rotation: setting({
    toml: ["logging.file_rotation"],
    env: "LOG_FILE_ROTATION",
    flag: "log-file-rotation",
    group: "Log",
    kind: choice(LOG_FILE_ROTATIONS),
    default: "never",
    help: "When a new log file begins (UTC)",
    restart: true,
  }),
  log_file_max_files: setting<number | undefined>({
    toml: ["logging.file_max_files"],
    env: "LOG_FILE_MAX_FILES",
    flag: "log-file-max-files",
    group: "Log",
    kind: atLeast(1, "N"),
    default: undefined,
    defaultText: "all",
    help: "Rotated log files that are kept, the current one too",
    restart: true,
  }),
};

type Table = typeof SETTINGS;

/** The key of a setting. */
export type SettingKey = keyof Table;

/** The values of all settings. */
export type Settings = { readonly [Key in SettingKey]: Table[Key]["default"] };

/** The settings as rows, for code that treats them all alike. */
export const SETTING_ROWS: readonly Setting<unknown>[] = Object.entries(SETTINGS).map(
  ([key, row]) => ({ ...row, key, toml: row.toml ?? [key] }) as Setting<unknown>,
);

/** The keys of all settings in the TOML file. */
export const TOML_KEYS: ReadonlySet<string> = new Set(SETTING_ROWS.flatMap(({ toml }) => toml));
