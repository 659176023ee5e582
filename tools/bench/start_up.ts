import { median } from "../../tests/lab/testing/durations.ts";
import { startMeasuredAgent } from "./subjects.ts";

/** @returns milliseconds from the start of the process to the first connection accepted: median of ten */
export async function measureStartUp(): Promise<number> {
  const times: number[] = [];
  for (let start = 0; start < 10; start++) {
    const began = performance.now();
    await using _agent = await startMeasuredAgent([], "port");
    times.push(performance.now() - began);
  }
  return median(times);
}
