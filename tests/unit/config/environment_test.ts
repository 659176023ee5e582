import assert from "node:assert/strict";
import { withoutServiceLinks } from "../../../src/config/environment.ts";

const KNOWN = ["SERVER_PORT", "METRICS_PORT", "LOG_LEVEL"];

/** What a kubelet sets for a Service, without the name. */
function linksOf(name: string, address: string, port: number): Record<string, string> {
  const url = `tcp://${address.includes(":") ? `[${address}]` : address}:${port}`;
  return {
    [`${name}_SERVICE_HOST`]: address,
    [`${name}_SERVICE_PORT`]: `${port}`,
    [`${name}_SERVICE_PORT_HTTP`]: `${port}`,
    [`${name}_PORT`]: url,
    [`${name}_PORT_${port}_TCP`]: url,
    [`${name}_PORT_${port}_TCP_PROTO`]: "tcp",
    [`${name}_PORT_${port}_TCP_PORT`]: `${port}`,
    [`${name}_PORT_${port}_TCP_ADDR`]: address,
  };
}

const SERVICES = [
  ["haproxy-agent", "HAPROXY_AGENT"],
  ["haproxy-agent-metrics", "HAPROXY_AGENT_METRICS"],
  ["haproxy-agent-server", "HAPROXY_AGENT_SERVER"],
  ["haproxy-agent-log-level", "HAPROXY_AGENT_LOG_LEVEL"],
] as const;

for (const [service, name] of SERVICES) {
  for (const address of ["10.96.12.34", "fd00::12"]) {
    Deno.test(`withoutServiceLinks() leaves out all links of the Service ${service} at ${address}`, () => {
      const links = linksOf(name, address, 9090);
      const own = { HAPROXY_AGENT_LOG_LEVEL: "debug", PATH: "/bin" };
      const { environment, warnings } = withoutServiceLinks({ ...links, ...own }, KNOWN);
      assert.deepEqual(environment, own);
      assert.equal(warnings.length, 1);
      for (const link of Object.keys(links)) assert.ok(warnings[0]?.includes(link), link);
      assert.match(warnings[0] ?? "", new RegExp(`for the Service ${service} \\(`));
    });
  }
}

Deno.test("withoutServiceLinks() warns once for each Service", () => {
  const links = SERVICES.map(([, name]) => linksOf(name, "10.96.12.34", 80));
  assert.equal(withoutServiceLinks(Object.assign({}, ...links), KNOWN).warnings.length, 4);
});

/** What is the operator's own, right or wrong, or another program's. */
const KEPT: Record<string, string> = {
  HAPROXY_AGENT_METRICS_PORT: "9090",
  HAPROXY_AGENT_SERVER_PORT: "tcp://localhost",
  HAPROXY_AGENT_LOG_LEVEL: "tcp://10.96.12.34:9090",
  HAPROXY_AGENT_OTHER_PORT: "80",
  HAPROXY_AGENT_METRICS_PROT: "tcp",
  METRICS_PORT: "tcp://10.96.12.34:9090",
  OTHER_SERVICE_HOST: "10.96.12.34",
};

for (const [name, value] of Object.entries(KEPT)) {
  Deno.test(`withoutServiceLinks() keeps ${name}=${value}`, () => {
    assert.deepEqual(withoutServiceLinks({ [name]: value }, KNOWN), {
      environment: { [name]: value },
      warnings: [],
    });
  });
}
