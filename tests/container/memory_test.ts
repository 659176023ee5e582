import assert from "node:assert/strict";
import { startHealthBackend } from "../lab/backends/libraries/health_backend.ts";
import { AgentContainer, machineAddress } from "../lab/machine/docker/agent_container.ts";
import { buildAgent, testWithDocker } from "../lab/machine/docker/images.ts";

/** As compose.yaml has it; MEMORY_LIMIT tries another one. */
const LIMIT = Deno.env.get("MEMORY_LIMIT") ?? "128m";
const CHECKS_PER_SECOND = 100;
const SECONDS = 20;

/** Without the cache that the image carries it is some 20 MB more, in kB. */
const WITH_CACHE = 72_000;

testWithDocker(`with ${LIMIT} of memory it answers 100 checks a second`, async (engine) => {
  await buildAgent(engine);
  await using backend = await startHealthBackend({ host: await machineAddress(engine) });
  await using agent = await AgentContainer.start(engine, [
    `--memory=${LIMIT}`,
    `--memory-swap=${LIMIT}`,
  ]);
  const answers = new Map<string, number>();
  const asked: Promise<void>[] = [];
  const ask = async () => {
    const answer = await agent.ask(backend.line()).catch(String);
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  };
  // Each has its own connection, as HAProxy makes them.
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      asked.push(ask());
      if (asked.length === CHECKS_PER_SECOND * SECONDS) {
        clearInterval(timer);
        resolve();
      }
    }, 1000 / CHECKS_PER_SECOND);
  });
  await Promise.all(asked);
  const { Running, OOMKilled, Pid } = await agent.state();
  assert.deepEqual({ Running, OOMKilled }, { Running: true, OOMKilled: false });
  assert.deepEqual([...answers], [["up\n", CHECKS_PER_SECOND * SECONDS]]);
  const status = await Deno.readTextFile(`/proc/${Pid}/status`);
  const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
  console.log(`At most ${peak} kB`);
  assert.ok(peak < WITH_CACHE, `${peak} kB`);
});
