import { stringify } from "smol-toml";
import { TLS_PROFILE_KEYS } from "../../src/config/sections.ts";
import { ENV_PREFIX, type Setting, SETTING_ROWS } from "../../src/config/settings.ts";

/** @returns the text of config.example.toml: every setting, each at its default */
export function configExample(): string {
  const topLevel = SETTING_ROWS.filter((row) => !isLogging(row));
  const groups = [...Map.groupBy(topLevel, ({ group }) => group)].map(([group, rows]) =>
    `# ---- ${group}\n\n${rows.map((row) => exampleEntry(row, row.key)).join("\n")}`
  );
  const logging = SETTING_ROWS.filter(isLogging)
    .map((row) => exampleEntry(row, row.toml[0]?.replace("logging.", "") ?? ""));
  const tlsKeys = Object.entries(TLS_PROFILE_KEYS).map(([key, { help, kind }]) =>
    `# # ${help}. Accepted: ${kind.accepted}.\n# # ${key} = ...`
  );
  return `# haproxy-grpc-agent: every setting, each at its default. Made by \`deno task docs\`.
#
# The command line beats this file, and this file beats the environment. Times are in milliseconds.

${groups.join("\n")}
# ---- Tables

[logging]
# level and format here beat log_level and log_format above.

${logging.join("\n")}
# [logging.packages]
# # The level of one component: main, config, server, protocol, checker, metrics.
# checker = "debug"

# # A TLS profile, chosen in a request by tls=edge. Any number of them.
# [tls.edge]
${tlsKeys.join("\n")}

# # What each health RPC carries along. "env:NAME" is read from the environment. Never logged.
# [metadata]
# authorization = "env:PROBE_TOKEN"
`;
}

function isLogging({ toml }: Setting<unknown>): boolean {
  return toml.length === 1 && toml[0]?.startsWith("logging.") === true;
}

function exampleEntry({ help, kind, default: value, defaultText }: Setting<unknown>, key: string) {
  const unset = value === undefined || Array.isArray(value) && value.length === 0;
  const comment = `# ${help}. Accepted: ${kind.accepted}.`;
  return unset
    ? `${comment} Default: ${defaultText}.\n# ${key} = ...\n`
    : `${comment}\n${stringify({ [key]: Array.isArray(value) ? value[0] : value })}`;
}

/** @returns the text of docs/config-reference.md */
export function configReference(): string {
  const groups = [...Map.groupBy(SETTING_ROWS, ({ group }) => group)]
    .map(([group, rows]) => `### ${group}\n\n${rows.map(referenceEntry).join("\n")}`);
  const tlsKeys = Object.entries(TLS_PROFILE_KEYS)
    .map(([key, { help, kind }]) => `- \`${key}\`: ${help} (${kind.accepted})`);
  return `# Configuration reference

Made by \`deno task docs\` from the table of settings, \`src/config/settings.ts\`. A file with all of it:
[config.example.toml](../config.example.toml).

## Where settings come from

Strongest first: command line, TOML file (\`--config FILE\`), environment, default; for each setting by
itself. Everything is checked before the first socket opens. A wrong setting ends the program with exit
code 1 (2 for a wrong command line) and one line per mistake: the setting, where it came from, its value,
and what is accepted. Unknown TOML keys and flags are mistakes; an unknown \`${ENV_PREFIX}*\` variable is
only warned of. So are the variables that Kubernetes sets by itself for a Service called \`haproxy-agent\` or
\`haproxy-agent-metrics\`, such as \`${ENV_PREFIX}METRICS_PORT=tcp://10.96.12.34:9090\`: they are left out, and the
file or the default counts. An empty variable counts as not set, with a warning, but for \`allow_clients\` and
\`allow_backends\`, where it is a mistake; blanks around a value do not count, but for the path of a file.

\`haproxy-grpc-agent --check-config\` says what is in force, with secrets hidden. \`SIGHUP\` has the file and
the certificates read again, all or nothing: with a mistake in it, the old configuration stays. Settings
marked "restart" cannot change that way, and open connections of clients keep their limits. All files must be
regular ones: a pipe would be empty the second time. A file with nothing in it, as a write to a full disk
leaves it, is a mistake for \`--check-config\`, and at a reload unless it was so from the start, which is only
warned of; one of comments alone is fine.

## Settings

${groups.join("\n")}
## Access rules

\`allow_clients\` takes addresses and networks. \`allow_backends\` takes host patterns as well: a name, or \`*.\` and a
name, for all names below it. Each entry there may end in a port, or ports from one to another:
\`10.0.3.0/24:50051\`, \`[2001:db8::/32]:443\`, \`api.internal\`, \`*.svc.cluster.local:8000-9000\`. One entry that fits
is enough.

A name that a pattern covers, as it stands in the line, may lead to any address: whoever answers for it in DNS is
trusted. Of every other name, only the addresses that a network covers are connected to. For a request by address
the networks alone count.

## Tables of the TOML file

What stands below the head of a table belongs to it, up to the next head. So settings stand above the first
table, but for those of \`[logging]\`; below it they are mistakes.

### \`[logging]\`

\`level\` and \`format\` there beat \`log_level\` and \`log_format\`. \`[logging.packages]\` sets the level of single
components: \`main\`, \`config\`, \`server\`, \`protocol\`, \`checker\`, \`metrics\`. The names of the Rust agent
(\`haproxy_grpc_agent\`, \`haproxy_grpc_agent::server\`) mean the same components here; other names are passed
over with a warning.

A log file is appended to; its folder is made where the agent may. With rotation the files stand beside each other as
\`agent.log.2026-11-23\` or \`agent.log.2026-11-23-14\` (UTC), and \`file_max_files\` keeps the newest;
files named for a time to come go first.
logrotate may move a file away at any time: the agent begins a new one within a second, or at once at SIGHUP.
While a file cannot be written (the disk or a limit is full, the folder is gone), its lines go to stderr; the agent says so
once, tries again every second, and no check waits. Lines that nothing takes are counted in
\`haproxy_grpc_agent_log_dropped_total\`.

Deno lets the agent write below \`/var/log\` and \`/tmp\` alone, whoever it runs as. For another folder
start it with that one instead: \`deno run -P=agent --allow-write=/srv/log src/main.ts\`.

### \`[tls.NAME]\`

A TLS profile, chosen in a request by \`tls=NAME\`:

${tlsKeys.join("\n")}

Files are PEM: with either kind of line ends, a byte order mark, or text around the blocks. Certificate and
key may stand in one file, as for HAProxy's \`crt\`: name it in \`cert_file\` alone. The first certificate is
the client's own; those of CAs that are sent along follow it. A key with a password is refused, and so is a
key that no TLS handshake can be made with.

Without a \`ca_file\` the CAs of the machine are trusted: those of the file that \`SSL_CERT_FILE\` names, or else of
\`/etc/ssl/certs/ca-certificates.crt\` and its like; \`SSL_CERT_DIR\` is not read. What is cut off or broken in that
file is left out, with a warning. Where there are none, the agent warns at its start, and only profiles that
have a \`ca_file\`, or \`insecure_skip_verify\`, can be used.

### \`[metadata]\`

Metadata that each health RPC carries along, name to value. A value \`"env:NAME"\` is read from the
environment; where that variable is empty the name is not sent, with a warning. A name may stand there once,
whatever its case. Values are never logged or shown.
`;
}

function referenceEntry(setting: Setting<unknown>): string {
  const { key, toml, env, flag, kind, default: value, defaultText, help, restart } = setting;
  const [path = key] = toml;
  const shown = defaultText ?? `\`${Array.isArray(value) ? value.join(", ") : value}\``;
  return `#### \`${toml.length > 1 ? key : path}\`

${help}.

- accepted: ${kind.accepted}
- default: ${shown}
- flag \`--${flag}\`, variable \`${ENV_PREFIX}${env}\`${
    toml.length > 1 ? `, also \`${path}\` in TOML` : ""
  }${restart === true ? "\n- restart" : ""}
`;
}
