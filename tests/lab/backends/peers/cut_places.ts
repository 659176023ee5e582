import type { Cut } from "./cutting_proxy.ts";

/** One place in what a backend sends, one way to break off there. */
export interface Place {
  /** Bytes before it. */
  readonly after: number;
  readonly by: Cut;
}

/** In how many places an answer is cut. */
const PLACES = 8;

/** Places that are spread evenly over so many bytes, and all ways to break off there. */
export function everywhereIn(bytes: number): Place[] {
  return (["silence", "close", "reset"] as const).flatMap((by) =>
    Array.from({ length: PLACES }, (_, index) => ({
      after: Math.floor(bytes * index / PLACES),
      by,
    }))
  );
}

/** Cuts at all of these places: at once, but a few at a time, as what takes a deadline waits and does no work. */
export async function atEachPlace(
  places: readonly Place[],
  cut: (place: Place) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < places.length; at += PLACES) {
    await Promise.all(places.slice(at, at + PLACES).map(cut));
  }
}
