import { OTHER_FLAGS } from "./command_line.ts";
import { ENV_PREFIX, type Setting, SETTING_ROWS } from "./settings.ts";

const LEFT_WIDTH = 36;

/** @returns the text of `--help` */
export function helpText(): string {
  const groups = [...Map.groupBy(SETTING_ROWS, ({ group }) => group)]
    .map(([group, settings]) => `${group}:\n${settings.map(settingRow).join("\n")}`);
  const others = Object.entries(OTHER_FLAGS).map(([name, flag]) => {
    const short = "short" in flag ? `-${flag.short}, ` : "";
    const placeholder = "placeholder" in flag ? ` ${flag.placeholder}` : "";
    return row(`  ${short}--${name}${placeholder}`, flag.help);
  });
  return `haproxy-grpc-agent: gRPC health checks for HAProxy's agent-check

Usage:
  haproxy-grpc-agent [flags]
  haproxy-grpc-agent check <backend_server> <backend_port> <ssl|no-ssl> <proxy_host_name>
                     [option...] [flags]    one check by hand: exit 0 up, 1 down, 2 wrong usage
  haproxy-grpc-agent ready [flags]          asks the agent that runs with the same flags and
                                            configuration: exit 0 ready, 1 not, 2 wrong usage

${groups.join("\n\n")}

Other:
${others.join("\n")}

Each flag has a variable (--server-port: ${ENV_PREFIX}SERVER_PORT) and a TOML key (server_port).
The command line beats the TOML file, the file the environment. Times (MS) are in milliseconds.
`;
}

function settingRow({ flag, kind, help, default: value, defaultText }: Setting<unknown>): string {
  const placeholder = kind.isSwitch === true ? `[${kind.placeholder}]` : kind.placeholder;
  return row(`  --${flag} ${placeholder}`, `${help} [${defaultText ?? value}]`);
}

function row(left: string, right: string): string {
  return left.length < LEFT_WIDTH
    ? left.padEnd(LEFT_WIDTH) + right
    : `${left}\n${" ".repeat(LEFT_WIDTH)}${right}`;
}
