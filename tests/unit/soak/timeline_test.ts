import assert from "node:assert/strict";
import { change, type State, Timeline } from "../../soak/timeline.ts";

function timeline(): Timeline {
  const made = new Timeline("up", 0);
  made.enter("either", 100, "killed");
  made.enter("down", 110, "killed");
  made.enter("either", 200, "started");
  made.enter("up", 230, "started");
  return made;
}

const ROWS: [what: string, from: number, to: number, states: State[]][] = [
  ["before everything", -50, 20, ["up"]],
  ["within one state", 20, 90, ["up"]],
  ["up to the very begin of a change", 20, 100, ["up", "either"]],
  ["from the very begin of a state", 110, 150, ["down"]],
  ["across a change", 105, 150, ["either", "down"]],
  ["across everything", 0, 300, ["up", "either", "down", "either", "up"]],
  ["an instant", 205, 205, ["either"]],
  ["after everything", 500, 600, ["up"]],
];

for (const [what, from, to, states] of ROWS) {
  Deno.test(`a timeline tells the states ${what}`, () => {
    assert.deepEqual(timeline().during(from, to).map(({ state }) => state), states);
  });
}

Deno.test("a timeline does not go back in time", () => {
  assert.throws(() => timeline().enter("down", 229, "late"), RangeError);
});

Deno.test("a change makes either answer right until what happens has ended", async () => {
  const changing = new Timeline("up", performance.now());
  const { promise, resolve } = Promise.withResolvers<void>();
  const changed = change([changing], "down", "killed", () => promise);
  assert.equal(changing.current.state, "either");
  resolve();
  await changed;
  assert.deepEqual(
    changing.during(-Infinity, Infinity).map(({ state }) => state),
    ["up", "either", "down"],
  );
});
