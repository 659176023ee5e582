import assert from "node:assert/strict";
import { LastAnswers } from "../../src/observe/last_answers.ts";

Deno.test("LastAnswers tells the first answer and each change", () => {
  const answers = new LastAnswers(10);
  assert.deepEqual(
    ["up", "up", "down", "down", "up"].map((answer) => answers.changed("a", answer)),
    [true, false, true, false, true],
  );
  assert.equal(answers.changed("b", "up"), true);
});

Deno.test("LastAnswers forgets the backend longest not asked for", () => {
  const answers = new LastAnswers(2);
  answers.changed("a", "up");
  answers.changed("b", "up");
  answers.changed("a", "up");
  answers.changed("c", "up");
  assert.equal(answers.changed("a", "up"), false);
  assert.equal(answers.changed("b", "up"), true);
});
