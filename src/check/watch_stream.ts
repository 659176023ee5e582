import type { Metadata } from "@grpc/grpc-js";
import type { HealthClient } from "./health_client.ts";

/** A `Health/Watch` stream under way. */
export class WatchStream {
  readonly #stream: ReturnType<HealthClient["watch"]>;
  #ended = false;

  /**
   * @param onStatus called with each status that comes
   * @param onEnd called once when the stream ends by itself, whatever for
   */
  constructor(
    client: HealthClient,
    service: string,
    metadata: Metadata,
    onStatus: (status: string) => void,
    onEnd: () => void,
  ) {
    this.#stream = client.watch({ service }, metadata, {});
    this.#stream.on("data", ({ status }) => {
      if (!this.#ended) onStatus(String(status));
    });
    this.#stream.on("error", () => {}); // `status` follows.
    this.#stream.once("status", () => {
      if (this.#ended) return;
      this.#ended = true;
      onEnd();
    });
  }

  /** Ends it; nothing is called any more. Idempotent. */
  cancel(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.cancel();
  }
}
