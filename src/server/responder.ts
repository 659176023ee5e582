import type { Checker } from "../check/checker.ts";
import type { Recorder } from "../observe/recorder.ts";
import { replyTo } from "../protocol/reply.ts";
import { parseRequest } from "../protocol/request.ts";

/** Gives the reply to a line: reads it, has the backend checked, has the answer recorded. */
export class Responder {
  readonly #checker: Checker;
  readonly #recorder: Recorder;

  constructor(checker: Checker, recorder: Recorder) {
    this.#checker = checker;
    this.#recorder = recorder;
  }

  /**
   * @param line a request line without its end
   * @param peer the client, for the log
   * @param abandoned aborted when the client is gone; then nothing is recorded and the reply is void
   * @returns the reply with its newline; never rejects
   */
  async answer(line: string, peer: string, abandoned: AbortSignal): Promise<string> {
    const parsed = parseRequest(line);
    if (!parsed.ok) {
      this.#recorder.recordInvalid(line, parsed.reason, peer);
      return "down\n";
    }
    if (!this.#checker.hasTlsProfile(parsed.request)) {
      this.#recorder.recordInvalid(line, "the TLS profile does not exist", peer);
      return "down\n";
    }
    const startedAt = performance.now();
    const verdict = await this.#checker.check(parsed.request, abandoned);
    const reply = replyTo(verdict);
    if (!abandoned.aborted) {
      const durationMs = performance.now() - startedAt;
      this.#recorder.recordCheck({ request: parsed.request, peer, verdict, reply, durationMs });
    }
    return `${reply}\n`;
  }
}
