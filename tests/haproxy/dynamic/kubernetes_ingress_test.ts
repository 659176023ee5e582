// The Backend object for HAProxy's Kubernetes ingress controller. Its fields are those of the Data Plane API, and
// both have one library write them; what that library (client-native 6) writes of such a list is done here.

import assert from "node:assert/strict";
import { parse } from "yaml";
import { startAgent } from "../../lab/agent/agent_process.ts";
import { startHealthBackend } from "../../lab/backends/libraries/health_backend.ts";
import { DYNAMIC_EXAMPLES, INTER_MS } from "../../lab/haproxy/placed_examples.ts";
import { testSideBySide } from "../../lab/haproxy/test_with_haproxy.ts";
import { waitForServer } from "../../lab/haproxy/wait_for_server.ts";

/** One rule of `tcp_check_rule_list`. */
type Rule = Readonly<Record<string, string | number | boolean>>;

interface Backend {
  spec: {
    mode: string;
    adv_check: string;
    tcp_check_rule_list: Rule[];
    default_server: Readonly<Record<string, string | number>>;
  };
}

testSideBySide(
  "kubernetes-ingress.yaml: what the controller writes of it asks the agent",
  [],
  async (start) => {
    await using good = await startHealthBackend();
    await using bad = await startHealthBackend({ services: { "": "NOT_SERVING" } });
    await using agent = await startAgent({ flags: ["--reply-reason"] });
    const text = (await Deno.readTextFile(`${DYNAMIC_EXAMPLES}kubernetes-ingress.yaml`))
      .replace("addr: 10.96.0.55", "addr: 127.0.0.1")
      .replace('port_string: "5555"', `port_string: "${agent.port}"`);
    const { spec }: Backend = parse(text);
    const { check, inter, ...others } = spec.default_server;
    assert.deepEqual([check, inter], ["enabled", 2000]);
    const defaults = Object.entries({ ...others, inter: INTER_MS }).flat().join(" ");
    const configuration = `defaults
  mode ${spec.mode}
  timeout connect 1s
  timeout client 5s
  timeout server 5s
  timeout check 5s

backend api
  option ${spec.adv_check}
${spec.tcp_check_rule_list.map((rule) => `  tcp-check ${written(rule)}\n`).join("")}
  default-server check ${defaults}
  server good ${good.address}
  server bad ${bad.address}
`;
    await using stack = new AsyncDisposableStack();
    const haproxies = await start(stack, () => configuration);
    for (const haproxy of haproxies.values()) {
      await waitForServer(haproxy, "api", { server: "good", status: "UP", checkStatus: "L7OK" });
      await waitForServer(haproxy, "api", {
        server: "bad",
        status: "DOWN",
        checkStatus: "L7STS",
        lastCheck: /^down #NOT_SERVING$/,
      });
    }
    assert.deepEqual(agent.faults(), []);
  },
);

/** A rule as the library writes it: values as they are, in an order of its own. */
function written({ action, ...fields }: Rule): string {
  const rest = new Map(Object.entries(fields));
  const take = (name: string, format: (value: string) => string) => {
    const value = rest.get(name);
    rest.delete(name);
    return value === undefined ? [] : [format(`${value}`)];
  };
  const words = [`${action}`];
  switch (action) {
    case "connect":
      words.push(
        ...take("port_string", (port) => `port ${port}`),
        ...take("addr", (address) => `addr ${address}`),
        ...take("linger", () => "linger"),
        ...take("check_comment", (comment) => `comment ${comment}`),
      );
      break;
    case "set-var": {
      const [scope = ""] = take("var_scope", String);
      const [name = ""] = take("var_name", String);
      words.splice(0, 1, `set-var(${scope}.${name})`, ...take("var_expr", String));
      break;
    }
    case "send-lf":
      words.push(...take("fmt", String));
      break;
    case "expect":
      words.push(
        ...take("min_recv", (bytes) => `min-recv ${bytes}`),
        ...take("error_status", (status) => `error-status ${status}`),
        ...take("on_error", (message) => `on-error ${message}`),
        ...take("match", String),
        ...take("pattern", String),
      );
  }
  assert.deepEqual([...rest.keys()], [], `The library has no such field for ${action}`);
  return words.join(" ");
}
