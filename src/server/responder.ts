import type { Checker } from "../check/checker.ts";
import { damp, describeStanding, type Standing, type Thresholds } from "../check/damping.ts";
import type { Standings } from "../check/standings.ts";
import { isOpinion, type Opinion } from "../check/verdict.ts";
import type { Recorder } from "../observe/recorder.ts";
import { backendKey } from "../protocol/backend_key.ts";
import { formatRefusal, formatReply, type ReplyOptions, wordFor } from "../protocol/reply.ts";
import { type CheckRequest, parseRequest } from "../protocol/request.ts";
import type { Peer } from "./connection.ts";

/** How verdicts become replies. */
export interface ResponderOptions extends ReplyOptions, Thresholds {}

/** Gives the reply to a line: reads it, has the backend checked, damps, has the answer recorded. */
export class Responder {
  readonly #options: ResponderOptions;
  readonly #checker: Checker;
  readonly #standings: Standings;
  readonly #recorder: Recorder;

  constructor(
    options: ResponderOptions,
    checker: Checker,
    standings: Standings,
    recorder: Recorder,
  ) {
    this.#options = options;
    this.#checker = checker;
    this.#standings = standings;
    this.#recorder = recorder;
  }

  /**
   * @param line a request line without its end
   * @param traceId joins the log lines of this request
   * @param abandoned aborted when the client is gone; then nothing is recorded and the reply is void
   * @returns the reply with its newline, or `undefined` for none: there is no verdict, and none must be
   * made up. Never rejects
   */
  async answer(
    line: string,
    peer: Peer,
    traceId: string,
    abandoned: AbortSignal,
  ): Promise<string | undefined> {
    try {
      return await this.#answer(line, peer, traceId, abandoned);
    } catch (error) {
      this.#recorder.recordBug(error, peer.text, traceId);
      return "down\n";
    }
  }

  async #answer(
    line: string,
    peer: Peer,
    traceId: string,
    abandoned: AbortSignal,
  ): Promise<string | undefined> {
    const parsed = parseRequest(line);
    if (!parsed.ok) return this.#refuse(line, parsed.reason, peer, traceId);
    const { request } = parsed;
    if (!this.#checker.hasTlsProfile(request)) {
      return this.#refuse(line, "the TLS profile does not exist", peer, traceId);
    }
    const startedAt = performance.now();
    this.#recorder.checkBegun();
    const verdict = await this.#checker.check(request, abandoned)
      .finally(() => this.#recorder.checkEnded());
    if (abandoned.aborted) return undefined;
    if (!isOpinion(verdict)) {
      this.#recorder.recordUnanswered(request, peer.text, traceId, verdict);
      return undefined;
    }
    const standing = this.#damp(request, peer, verdict);
    const note = describeStanding(standing);
    const durationMs = performance.now() - startedAt;
    this.#recorder.recordCheck({
      traceId,
      request,
      peer: peer.text,
      verdict,
      word: standing.word,
      note,
      durationMs,
    });
    return formatReply(standing.word, verdict, note, this.#options);
  }

  #refuse(line: string, reason: string, peer: Peer, traceId: string): string {
    this.#recorder.recordInvalid(line, reason, peer.text, traceId);
    return formatRefusal(reason, this.#options);
  }

  #damp(request: CheckRequest, peer: Peer, verdict: Opinion): Standing {
    const word = wordFor(verdict, this.#options.notServingReply);
    const { fall = this.#options.fall, rise = this.#options.rise } = request;
    const atOnce = verdict.kind === "not_serving" || verdict.kind === "denied";
    if (fall === 1 && rise === 1) return damp(undefined, word, atOnce, { fall, rise });
    // Lines that want other thresholds for the same backend have a count of their own.
    const key = `${peer.host} ${fall} ${rise} ${backendKey(request)}`;
    return this.#standings.judge(key, verdict, word, atOnce, { fall, rise });
  }
}
