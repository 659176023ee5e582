import { OTHER_FLAGS } from "../../src/config/command_line.ts";
import { ENV_PREFIX, type Setting, SETTING_ROWS } from "../../src/config/settings.ts";

/** What is not in the table of settings. */
const FOREWORD = `.SH NAME
haproxy-grpc-agent \\- gRPC health checks for HAProxy's agent-check
.SH SYNOPSIS
.B haproxy-grpc-agent
.RI [ flags ]
.br
.B haproxy-grpc-agent check
.I backend_server backend_port
.BR ssl | no\\-ssl
.I proxy_host_name
.RI [ option ...]
.RI [ flags ]
.br
.B haproxy-grpc-agent ready
.RI [ flags ]
.SH DESCRIPTION
HAProxy has no gRPC health check. With
.B agent\\-check
it can ask an agent instead: it sends the line of
.BR agent\\-send ,
and reads one line.
.B haproxy\\-grpc\\-agent
takes that line as a backend to check, calls
.B grpc.health.v1.Health/Check
there, and answers
.B up
or
.BR down .
.PP
A server of HAProxy's that is checked so:
.PP
.in +4n
.EX
default\\-server proto h2 check agent\\-check agent\\-inter 2s
default\\-server agent\\-addr 127.0.0.1 agent\\-port 5555
server api1 10.0.3.7:50051 agent\\-send "10.0.3.7 50051 no\\-ssl api.internal\\en"
.EE
.in
.SH COMMANDS
.TP
(none)
Serves, until SIGTERM or SIGINT.
.TP
.BI "check " "backend_server backend_port " ssl | no\\-ssl " proxy_host_name " \\fR[\\fIoption\\fR...]
One check by hand, with what each step took and why it failed. The fields are those of a line of
.BR agent\\-send .
.TP
.B ready
Asks the agent that runs with the same flags and configuration whether it takes checks.
`;

const AFTERWORD = `.SH FILES
.TP
.I /etc/haproxy\\-grpc\\-agent/config.toml
The settings of haproxy\\-grpc\\-agent.service.
.TP
.I /etc/haproxy\\-grpc\\-agent/NAME.toml
Those of the instance haproxy\\-grpc\\-agent@NAME.service.
.TP
.I /etc/default/haproxy\\-grpc\\-agent
Environment of the service: secrets that
.B [metadata]
names.
.TP
.I /var/log/haproxy\\-grpc\\-agent
For log files; without them the log is in the journal.
.SH SIGNALS
.TP
.B SIGTERM\\fR, \\fBSIGINT
Answers the checks under way, and ends with 0. A second one ends the agent at once.
.TP
.B SIGHUP
Reads configuration and certificates again. With a mistake in them what was in force stays.
.SH EXIT STATUS
.TP
.B 0
Stopped as asked; with
.B check
up, with
.B ready
ready.
.TP
.B 1
A wrong configuration, or it cannot listen; with
.B check
down, with
.B ready
not ready.
.TP
.B 2
A wrong command line; with
.B check
and
.B ready
a wrong configuration too, and with
.B check
an agent that could not ask.
.SH SEE ALSO
.BR haproxy (1),
.BR systemctl (1),
.BR journalctl (1)
.PP
Examples for HAProxy and a configuration with all settings:
.I /usr/share/doc/haproxy\\-grpc\\-agent/examples
`;

/**
 * Writes the manual page, in the man macros.
 *
 * @param date when the version was made, such as "2026-11-27"
 */
export function manualPage(version: string, date: string): string {
  const groups = [...Map.groupBy(SETTING_ROWS, ({ group }) => group)]
    .map(([group, rows]) => `.SS ${escape(group)}\n${rows.map(settingEntry).join("")}`);
  const others = Object.entries(OTHER_FLAGS).map(([name, flag]) => {
    const short = "short" in flag ? `\\fB\\-${flag.short}\\fR, ` : "";
    const value = "placeholder" in flag ? ` \\fI${escape(flag.placeholder)}\\fR` : "";
    return `.TP\n${short}\\fB\\-\\-${escape(name)}\\fR${value}\n${escape(flag.help)}.\n`;
  });
  return `.\\" Made by deno task package from the table of settings.
.TH HAPROXY\\-GRPC\\-AGENT 8 ${date} "haproxy\\-grpc\\-agent ${escape(version)}" "HAProxy"
${FOREWORD}.SH OPTIONS
A setting can be given on the command line, in the TOML file, or in the environment; the strongest
comes first. Times are in milliseconds. A switch may stand alone, meaning true.
${groups.join("")}.SS Other
${others.join("")}${AFTERWORD}`;
}

function settingEntry(setting: Setting<unknown>): string {
  const { key, toml, env, flag, kind, default: value, defaultText, help, restart } = setting;
  const placeholder = kind.isSwitch === true ? `[${kind.placeholder}]` : kind.placeholder;
  const shown = defaultText ?? `${Array.isArray(value) ? value.join(", ") : value}`;
  return `.TP
\\fB\\-\\-${escape(flag)}\\fR \\fI${escape(placeholder)}\\fR
${escape(help)}. Default: ${escape(shown)}.
.br
TOML \\fB${escape(toml.join(", ") || key)}\\fR, variable \\fB${escape(ENV_PREFIX + env)}\\fR${
    restart === true ? ".\nA change needs a restart" : ""
  }.
`;
}

/** In roff a backslash and a leading dot or quote say something, and a plain hyphen is typeset as a dash. */
function escape(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^(?=[.'])/gm, "\\&");
}
