import { ENV_PREFIX, SETTING_ROWS } from "./settings.ts";

/** @returns the text of `--help` */
export function helpText(): string {
  const groups = Map.groupBy(SETTING_ROWS, ({ group }) => group);
  const sections = [...groups].map(([group, settings]) => {
    const rows = settings.map(({ flag, kind, help, default: value }) => {
      const left = `  --${flag} ${
        kind.isSwitch === true ? `[${kind.placeholder}]` : kind.placeholder
      }`;
      const right = value === undefined ? help : `${help} [${value}]`;
      return left.length < 34 ? `${left.padEnd(34)}${right}` : `${left}\n${" ".repeat(34)}${right}`;
    });
    return `${group}:\n${rows.join("\n")}`;
  });
  return `haproxy-grpc-agent: gRPC health checks for HAProxy's agent-check

Usage: haproxy-grpc-agent [flags]

${sections.join("\n\n")}

Other:
  -h, --help                      This text
  -V, --version                   The version

Each flag has an environment variable: --server-port is ${ENV_PREFIX}SERVER_PORT.
`;
}
