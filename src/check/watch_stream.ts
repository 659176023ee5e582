import type { Metadata } from "@grpc/grpc-js";
import type { HealthClient } from "./health_client.ts";

/**
 * Opens a `Health/Watch` stream.
 *
 * @param onStatus called with each status that comes
 * @param onEnd called once when the stream ends by itself, whatever for
 * @returns ends the stream; nothing is called any more then. Idempotent
 */
export function openWatchStream(
  client: HealthClient,
  service: string,
  metadata: Metadata,
  onStatus: (status: string) => void,
  onEnd: () => void,
): () => void {
  let ended = false;
  const stream = client.watch({ service }, metadata, {});
  stream.on("data", ({ status }) => {
    if (!ended) onStatus(String(status));
  });
  stream.on("error", () => {}); // `status` follows.
  stream.once("status", () => {
    if (ended) return;
    ended = true;
    onEnd();
  });
  return () => {
    if (ended) return;
    ended = true;
    stream.cancel();
  };
}
