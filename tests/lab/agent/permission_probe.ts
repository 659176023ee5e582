/**
 * Runs in the agent's place, under its permissions: tries what only an attacker who controls the agent would try,
 * and prints the outcome of each attempt as a JSON object.
 */

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";
import { giveUpPermissions } from "../../../src/commands/serve.ts";

const [destination, linkToSecret = ""] = Deno.args;

const attempts: Record<string, () => unknown> = {
  "write to /etc": () => Deno.writeTextFileSync("/etc/haproxy-grpc-agent-probe", ""),
  "write to /usr/local": () => writeFileSync("/usr/local/haproxy-grpc-agent-probe", ""),
  "write to /tmp": () => Deno.writeTextFileSync("/tmp/haproxy-grpc-agent-probe", ""),
  "write to /var/log": () => Deno.writeTextFileSync("/var/log/haproxy-grpc-agent-probe", ""),
  "make a link": () => Deno.linkSync("/etc/shadow", "/tmp/haproxy-grpc-agent-probe-link"),
  "make a symbolic link": () =>
    Deno.symlinkSync("/etc/shadow", "/tmp/haproxy-grpc-agent-probe-link"),
  "run a program": () => new Deno.Command("/bin/true").outputSync(),
  "run a program by node:child_process": () => spawnSync("/bin/true").status === 0 || "unset",
  "kill a process": () => Deno.kill(1, "SIGURG"),
  "load a native library": () => Deno.dlopen("libc.so.6", {}),
  "load a native module": () => process.dlopen({ exports: {} }, "/usr/lib/probe.node"),
  "read /etc/shadow": () => Deno.readTextFileSync("/etc/shadow"),
  "read /etc/shadow by node:fs": () => readFileSync("/etc/shadow"),
  "read /etc/shadow by a link that is there": () => Deno.readTextFileSync(linkToSecret),
  "read /etc/shadow by /proc": () => Deno.readTextFileSync("/proc/self/root/etc/shadow"),
  "read /proc/self/environ": () => Deno.readTextFileSync("/proc/self/environ"),
  "read /proc/self/mem": () => Deno.readTextFileSync("/proc/self/mem"),
  "read a file of the configuration": () => Deno.readTextFileSync("/etc/hostname"),
  "read the environment": () => Object.keys(Deno.env.toObject()).length,
  "read a variable": () => Deno.env.get("PROBE_SECRET") ?? "unset",
  "ask for the host's name": () => hostname(),
  "ask for the right to run": () =>
    Deno.permissions.requestSync({ name: "run" }).state === "granted" || "unset",
};

giveUpPermissions({ log_destination: destination === "file" ? "file" : "console" });
const outcomes = Object.entries(attempts).map(([name, attempt]) => {
  try {
    const value = attempt();
    return [name, value === 0 || value === "unset" ? "nothing" : "done"];
  } catch (error) {
    return [name, error instanceof Error ? error.name : String(error)];
  }
});
console.log(JSON.stringify(Object.fromEntries(outcomes)));
Deno.exit();
