import assert from "node:assert/strict";

const PROGRAM = new URL("../lab/buggy_program.ts", import.meta.url).pathname;

Deno.test("an exception that nothing catches is logged and counted, and the process lives on", async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", PROGRAM] })
    .output();
  assert.deepEqual(new TextDecoder().decode(stdout).trim().split("\n"), [
    "Unhandled rejection: Error: rejected",
    "Uncaught exception: Error: thrown in a timer",
    "alive after 2 bugs",
  ]);
  assert.equal(code, 0);
});
