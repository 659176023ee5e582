/**
 * Runs in the agent's place, under its permissions: does what only somebody who has taken the agent over
 * would try, and prints a JSON object of what came of each attempt.
 */

import { giveUpPermissions } from "../../src/give_up_permissions.ts";

const attempts: Record<string, () => unknown> = {
  "write to /etc": () => Deno.writeTextFileSync("/etc/haproxy-grpc-agent-probe", ""),
  "write to /usr/local": () => Deno.writeTextFileSync("/usr/local/haproxy-grpc-agent-probe", ""),
  "write to /tmp": () => Deno.writeTextFileSync("/tmp/haproxy-grpc-agent-probe", ""),
  "write to /var/log": () => Deno.writeTextFileSync("/var/log/haproxy-grpc-agent-probe", ""),
  "run a program": () => new Deno.Command("/bin/true").outputSync(),
  "load a native library": () => Deno.dlopen("libc.so.6", {}),
  "read /etc/shadow": () => Deno.readTextFileSync("/etc/shadow"),
  "read /proc/self/environ": () => Deno.readTextFileSync("/proc/self/environ"),
  "read a file of the configuration": () => Deno.readTextFileSync("/etc/hostname"),
  "read the environment": () => Object.keys(Deno.env.toObject()).length,
  "read a variable": () => Deno.env.get("PROBE_SECRET") ?? "unset",
  "ask for the host's name": () => Deno.hostname(),
};

giveUpPermissions({ log_destination: Deno.args[0] === "file" ? "file" : "console" });
const outcomes = Object.entries(attempts).map(([name, attempt]) => {
  try {
    const value = attempt();
    return [name, value === 0 || value === "unset" ? "nothing" : "done"];
  } catch (error) {
    return [name, error instanceof Error ? error.name : String(error)];
  }
});
console.log(JSON.stringify(Object.fromEntries(outcomes)));
