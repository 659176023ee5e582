// A program with bugs that nothing catches, and the agent's way to live on: prints what is logged and counted.

import { surviveBugs } from "../../src/survive_bugs.ts";

let bugs = 0;
const log = {
  error: (message: string, { error }: { error: string }) =>
    console.log(`${message}: ${error.split("\n")[0]}`),
};
// deno-lint-ignore no-explicit-any -- of a logger only this is asked
surviveBugs(log as any, { countBug: () => bugs++ });

setTimeout(() => {
  throw new Error("thrown in a timer");
});
Promise.reject(new Error("rejected"));
setTimeout(() => console.log(`alive after ${bugs} bugs`), 50);
