import { LabProcess, ROOT } from "./lab_process.ts";

/** What an independent client is to ask. */
export interface ClientCheck {
  port: number;
  authority: string;
  /** The CA that is trusted; with it TLS is spoken. */
  ca?: string;
  service?: string;
  /** The deadline of the whole, in milliseconds. */
  timeoutMs: number;
}

const SERVING = 1;

/** A gRPC client on gRPC's C core, in a process of its own: the judge of the agent's verdicts. */
export class PythonClient implements AsyncDisposable {
  readonly #process = new LabProcess("/usr/bin/python3", {
    args: [`${ROOT}tests/lab/python_client.py`],
  });
  #lastId = 0;

  /** Asks once on a channel of its own. @returns `up` for SERVING in time, otherwise why not */
  async check(check: ClientCheck): Promise<string> {
    const id = ++this.#lastId;
    await this.#process.writeLine(JSON.stringify({ id, service: "", ...check }));
    const outcome = await this.#process.stdout.waitFor(`outcome ${id}`, (line) => {
      const answer = JSON.parse(line);
      return answer.id === id ? answer : undefined;
    });
    return outcome.outcome === SERVING ? "up" : String(outcome.outcome);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
