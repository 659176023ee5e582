import { LabProcess } from "../machine/lab_process.ts";
import { ROOT } from "../testing/repository.ts";

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

/** What it was told: the number of a status, or the code of the RPC, "OK" for one without a message. */
export type ClientOutcome =
  | { readonly status: number; readonly code?: never; readonly details?: never }
  | { readonly status?: never; readonly code: string; readonly details: string };

/** A gRPC client on gRPC's C core, in a process of its own: the judge of the agent's verdicts. */
export class PythonClient implements AsyncDisposable {
  readonly #process = new LabProcess("/usr/bin/python3", {
    args: [`${ROOT}tests/lab/clients/python_client.py`],
  });
  #lastId = 0;

  /** Asks once on a channel of its own. */
  async check(check: ClientCheck): Promise<ClientOutcome> {
    const id = ++this.#lastId;
    await this.#process.writeLine(JSON.stringify({ id, service: "", ...check }));
    return await this.#process.stdout.waitFor(`outcome ${id}`, (line) => {
      const answer = JSON.parse(line);
      return answer.id === id ? answer : undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
