import assert from "node:assert/strict";
import { WatchMemory } from "../../src/check/watch_memory.ts";

const GOOD_FOR_MS = 1000;

const STATUSES: Readonly<Record<string, string>> = {
  s: "SERVING",
  n: "NOT_SERVING",
  u: "UNKNOWN",
  x: "SERVICE_UNKNOWN",
  "7": "7",
};

/**
 * What happens, a word a step: `Cs` a Check that says SERVING, `Ts` the stream tells it, `C-` a Check
 * that fails, `900` so many milliseconds later; then what is remembered, `-` for nothing.
 */
const ROWS: readonly [what: string, steps: string, remembered: string][] = [
  ["nothing", "", "-"],
  ["a good Check and no word on the stream", "Cs", "-"],
  ["the stream says what the Check said", "Cs Ts", "s"],
  ["NOT_SERVING is as good a word", "Cn Tn", "n"],
  ["a change on the stream", "Cs Ts Tn", "n"],
  ["a change there and back", "Cs Ts Tn Ts", "s"],
  ["just before the time is over", "Cs Ts 999", "s"],
  ["the time is over", "Cs Ts 1000", "-"],
  ["a word on the stream renews", "Cs Ts 900 Ts 900", "s"],
  ["a good Check renews", "Cs Ts 900 Cs 900", "s"],
  ["a good Check renews what was overdue", "Cs Ts 5000 Cs", "s"],
  ["a word on the stream renews what was overdue", "Cs Ts 5000 Ts", "s"],
  ["a failed Check", "Cs Ts C-", "-"],
  ["a failed Check before the first word", "Cs C- Ts", "-"],
  ["the same word again after a failed Check", "Cs Ts C- Ts", "-"],
  ["a change after a failed Check: Check is to say it too", "Cs Ts C- Tn", "-"],
  ["a change after a failed Check, and a Check that says it too", "Cs Ts C- Tn Cn", "n"],
  ["a good Check after a failed one", "Cs Ts C- Cs", "s"],
  ["the stream begins with another word than the Check's", "Cn Ts", "-"],
  ["a Check agrees with that word then", "Cn Ts Cs", "s"],
  ["the stream comes round to the Check's word", "Cn Ts Tn", "n"],
  ["a Check says another word than the stream", "Cs Ts Cn", "-"],
  ["the stream repeats the word that the Check gave the lie", "Cs Ts Cn Ts", "-"],
  ["a change after a Check that said another word", "Cs Ts Cn Tu Ts", "s"],
  ["a Check that was under way at the change", "Cs Ts Tn Cs", "-"],
  ["the Check after that one", "Cs Ts Tn Cs Cn", "n"],
  ["UNKNOWN is asked again", "Cu Tu", "-"],
  ["SERVICE_UNKNOWN is asked again, Check has another word for it", "Cs Ts Tx", "-"],
  ["a status that does not exist is asked again", "C7 T7", "-"],
  ["a service that is known again", "Cs Ts Tx Ts", "s"],
];

for (const [what, steps, remembered] of ROWS) {
  Deno.test(`WatchMemory: ${what}: ${steps || "(no step)"} gives ${remembered}`, () => {
    const memory = new WatchMemory(GOOD_FOR_MS);
    let now = 50_000;
    for (const step of steps.split(" ")) {
      const status = STATUSES[step.slice(1)];
      if (step.startsWith("C")) memory.check(status, now);
      else if (step.startsWith("T") && status !== undefined) memory.tell(status, now);
      else now += Number(step);
    }
    assert.equal(memory.recall(now), STATUSES[remembered]);
  });
}
