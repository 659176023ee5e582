import {
  findAnyHaproxy,
  type FoundHaproxy,
  getHaproxy,
} from "../../tests/lab/haproxy/find_haproxy.ts";

/** The name under which HAProxy finds the servers. */
export const SERVICE_NAME = "api.demo";

/** Where everything of the demo with servers that come and go is, as ports on 127.0.0.1. */
export interface TemplatePorts {
  /** The agent's. */
  agent: number;
  /** The name server's. */
  names: number;
  /** The gRPC servers', which have addresses of their own. */
  servers: number;
  /** Where HAProxy takes gRPC. */
  traffic: number;
  /** HAProxy's statistics page. */
  statistics: number;
}

/** Gives an HAProxy 3.0 or later: its checks can learn a server's address. */
export async function findTemplateHaproxy(signal?: AbortSignal): Promise<FoundHaproxy> {
  const found = await findAnyHaproxy(signal);
  if (!found.found || parseInt(found.version) >= 3) return found;
  try {
    return { found: true, executable: await getHaproxy("3.2", signal), version: "3.2" };
  } catch (error) {
    signal?.throwIfAborted();
    return { found: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** HAProxy's part: deploy/haproxy/dynamic/a-records.cfg in short. */
export function templateConfiguration(ports: TemplatePorts): string {
  return `defaults
  mode http
  timeout connect 1s
  timeout client  10s
  timeout server  10s
  timeout check   2s

resolvers dns
  nameserver demo 127.0.0.1:${ports.names}
  timeout resolve 500ms
  timeout retry   500ms

frontend traffic
  bind 127.0.0.1:${ports.traffic} proto h2
  default_backend grpc

backend grpc
  option tcp-check
  # To the server, to learn its address ...
  tcp-check connect linger
  tcp-check set-var(check.ip) bc_dst
  tcp-check set-var(check.port) bc_dst_port
  # ... and to the agent, to ask about it.
  tcp-check connect addr 127.0.0.1 port ${ports.agent}
  tcp-check send-lf "%[var(check.ip)] %[var(check.port)] no-ssl demo.test\\n"
  tcp-check expect min-recv 3 rstring "^up" error-status L7STS on-error "%[res.payload(0,0),rtrim('\\n')]"
  default-server proto h2 check inter 500ms fall 3 rise 2
  .if version_atleast(3.1)
    default-server init-state down
  .endif
  server-template server 4 ${SERVICE_NAME}:${ports.servers} resolvers dns resolve-prefer ipv4 init-addr none

listen statistics
  bind 127.0.0.1:${ports.statistics}
  stats enable
  stats uri /
  stats refresh 1s
`;
}
