import type { AgentProcess } from "../../tests/lab/agent/agent_process.ts";
import { requestLine, serverName } from "./configuration.ts";
import type { Judge, ServerView } from "./view.ts";

/** Milliseconds between two rounds of questions: the agent-inter of the part that is played. */
const INTER_MS = 1000;

/** Asks the agent as HAProxy would, once a second, where there is no HAProxy to do it. */
export class PlayedHaproxy implements Judge {
  #agent: AgentProcess;
  #backendPorts: number[];
  #views: (ServerView & { changed: number })[] = [];
  #asked = -INTER_MS;

  constructor(agent: AgentProcess, backendPorts: number[]) {
    this.#agent = agent;
    this.#backendPorts = backendPorts;
  }

  async servers(): Promise<ServerView[]> {
    if (performance.now() - this.#asked >= INTER_MS) {
      this.#asked = performance.now();
      this.#views = await Promise.all(
        this.#backendPorts.map((port, index) => this.#ask(port, index)),
      );
    }
    return this.#views.map((view) => ({
      ...view,
      lastChange: Math.floor((performance.now() - view.changed) / 1000),
    }));
  }

  async #ask(port: number, index: number) {
    const reply = (await this.#agent.ask(`${requestLine(port)}\n`)).trim();
    const up = reply.startsWith("up");
    const before = this.#views[index];
    return {
      server: serverName(index),
      status: up ? "UP" : "DOWN",
      up,
      agentStatus: "not HAProxy",
      lastAgent: reply,
      asking: false,
      lastChange: 0,
      changed: before?.up === up ? before.changed : performance.now(),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(); // nothing is kept open between two rounds
  }
}
