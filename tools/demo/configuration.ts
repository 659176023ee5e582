/** Where everything of the demo is, as ports on 127.0.0.1. */
export interface DemoPorts {
  /** The agent's. */
  agent: number;
  /** Of the gRPC backends, in order. */
  backends: number[];
  /** Where HAProxy takes gRPC for the backends. */
  traffic: number;
  /** HAProxy's statistics page. */
  statistics: number;
}

/** The line that asks the agent for a backend. */
export function requestLine(backendPort: number): string {
  return `127.0.0.1 ${backendPort} no-ssl demo.test`;
}

/** The name of a backend in HAProxy. */
export function serverName(index: number): string {
  return `backend${index + 1}`;
}

/**
 * HAProxy's part of the demo.
 *
 * `check` is HAProxy's own look at the TCP port, which a server passes that has said NOT_SERVING;
 * `agent-check` asks the agent.
 */
export function haproxyConfiguration(ports: DemoPorts): string {
  const servers = ports.backends.map((port, index) =>
    `  server ${serverName(index)} 127.0.0.1:${port} agent-send "${requestLine(port)}\\n"`
  );
  return `defaults
  mode http
  timeout connect 1s
  timeout client  10s
  timeout server  10s
  timeout check   2s

frontend traffic
  bind 127.0.0.1:${ports.traffic} proto h2
  default_backend grpc

backend grpc
  default-server proto h2 check inter 1s
  default-server agent-check agent-addr 127.0.0.1 agent-port ${ports.agent} agent-inter 1s
${servers.join("\n")}

listen statistics
  bind 127.0.0.1:${ports.statistics}
  stats enable
  stats uri /
  stats refresh 1s
`;
}
