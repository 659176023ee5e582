// The HAProxy configuration of the Rust agent's README, but for addresses, ports and names to resolve, and
// for the line ends behind backslashes in it, which no HAProxy accepts. It asks every five seconds, so one
// series has to do.

import { startAgent } from "../lab/agent/agent_process.ts";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { CertificateAuthority } from "../lab/backends/tls/certificates.ts";
import { testWithEachHaproxy } from "../lab/haproxy/test_with_haproxy.ts";

testWithEachHaproxy("the Rust agent's example works, its TLS server too", async (startHaproxy) => {
  await using authority = await CertificateAuthority.create();
  const tls = await authority.issue("backend", { names: ["myservice2.example.com"] });
  await using one = await startHealthBackend();
  await using two = await startHealthBackend({ tls });
  await using agent = await startAgent({ flags: ["--tls-ca-file", authority.caFile] });
  const options = `check agent-check agent-inter 5s agent-port ${agent.port} agent-addr 127.0.0.1`;
  await using haproxy = await startHaproxy(
    `defaults
    timeout connect 1s
    timeout client 5s
    timeout server 5s

backend grpc_backend
    mode tcp
    balance roundrobin

    # Agent check configuration
    server grpc1 127.0.0.1:${one.port} ${options} \
agent-send "127.0.0.1 ${one.port} no-ssl myservice.example.com\\n"
    server grpc2 127.0.0.1:${two.port} ${options} \
agent-send "127.0.0.1 ${two.port} ssl myservice2.example.com\\n"
`,
  );
  await haproxy.waitFor("grpc_backend", "grpc1", { up: true, agentStatus: "L7OK" }, 8000);
  await haproxy.waitFor("grpc_backend", "grpc2", { up: true, agentStatus: "L7OK" }, 8000);
  await one.setStatus("", "NOT_SERVING");
  await haproxy.waitFor("grpc_backend", "grpc1", { up: false, agentStatus: "L7STS" }, 8000);
}, ["3.2"]);
