import type { Cut } from "./cutting_proxy.ts";

/** One place in what a backend sends, one way to break off there. */
export interface Place {
  /** Bytes before it. */
  readonly after: number;
  readonly by: Cut;
}

/** In how many places an answer is cut. */
const PLACES = 8;

/** Cuts in all ways, at places that are spread evenly over so many bytes. */
export async function atEachPlace(
  whole: number,
  cut: (place: Place) => Promise<void>,
): Promise<void> {
  const places = (["silence", "close", "reset"] as const).flatMap((by) =>
    Array.from({ length: PLACES }, (_, index) => ({
      after: Math.floor(whole * index / PLACES),
      by,
    }))
  );
  // At once, but a few at a time: what takes a deadline here waits and does no work.
  for (let at = 0; at < places.length; at += PLACES) {
    await Promise.all(places.slice(at, at + PLACES).map(cut));
  }
}
