/** Milliseconds between two agent checks of a server. */
export const AGENT_INTER_MS = 300;

/**
 * A configuration with one backend, `grpc`, whose servers are watched by the agent.
 *
 * @param agentPort where the agent listens on loopback
 * @param servers as {@linkcode server} makes them
 */
export function grpcBackend(agentPort: number, ...servers: string[]): string {
  return `defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
  timeout check 2s

backend grpc
  default-server proto h2 agent-check agent-addr 127.0.0.1 agent-port ${agentPort} agent-inter ${AGENT_INTER_MS}ms
${servers.map((line) => `  ${line}\n`).join("")}`;
}

/**
 * One server line.
 *
 * @param agentSend the request line for the agent, ended by a newline
 * @param options further keywords, such as `check`
 */
export function server(name: string, port: number, agentSend: string, options = ""): string {
  return `server ${name} 127.0.0.1:${port} agent-send "${
    agentSend.replace("\n", "\\n")
  }" ${options}`;
}
