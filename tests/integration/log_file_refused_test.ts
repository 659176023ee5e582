import assert from "node:assert/strict";
import { startAgent } from "../lab/agent/agent_process.ts";
import { entriesOf, logTo, testWithFolder } from "../lab/agent/log_file.ts";
import { freePort } from "../lab/machine/free_port.ts";
import { within } from "../lab/testing/eventually.ts";

/** Time an agent has to give up, in milliseconds. */
const END_TIMEOUT_MS = 15_000;

for (
  const { situation, path, mayWrite, expected } of [
    {
      situation: "a folder that cannot be made",
      path: "FOLDER/pipe/none/agent.log",
      mayWrite: "FOLDER",
      expected: 'log_file_path: "FOLDER/pipe/none/agent.log" cannot be written: ' +
        "Not a directory (os error 20)",
    },
    {
      situation: "the place of a folder",
      path: "FOLDER/folder",
      mayWrite: "FOLDER",
      expected: 'log_file_path: "FOLDER/folder" cannot be written: it is not a regular file',
    },
    {
      situation: "the place of a named pipe",
      path: "FOLDER/pipe",
      mayWrite: "FOLDER",
      expected: 'log_file_path: "FOLDER/pipe" cannot be written: it is not a regular file',
    },
    {
      situation: "the place of a symbolic link that leads nowhere",
      path: "FOLDER/link",
      mayWrite: "FOLDER",
      expected: 'log_file_path: "FOLDER/link" cannot be written: it is a symbolic link to ' +
        '"FOLDER/none", which is missing',
    },
    {
      situation: "a folder that Deno does not let it write to",
      path: "FOLDER/agent.log",
      mayWrite: "FOLDER/folder",
      expected: 'log_file_path: "FOLDER/agent.log" cannot be written: Deno\'s permissions do not ' +
        "allow it: use a file in /var/log, or start the agent with " +
        "deno run -P=agent --allow-write=FOLDER",
    },
  ]
) {
  testWithFolder(
    `the agent does not start with a log file in ${situation}, and says so in one line`,
    async (folder) => {
      const put = (text: string) => text.replaceAll("FOLDER", folder);
      await Deno.mkdir(`${folder}/folder`);
      await Deno.symlink(`${folder}/none`, `${folder}/link`);
      await new Deno.Command("mkfifo", { args: [`${folder}/pipe`] }).output();
      await using agent = await startAgent({
        mayWrite: put(mayWrite),
        flags: logTo(put(path)),
        until: "nothing",
      });
      assert.equal((await within("the agent to end", END_TIMEOUT_MS, agent.exited)).code, 1);
      assert.deepEqual(agent.stderr, [`haproxy-grpc-agent: ${put(expected)}`]);
    },
  );
}

testWithFolder("--check-config makes neither a log file nor its folder", async (folder) => {
  for (const path of [`${folder}/none/a`, `${folder}/a`]) {
    const flags = [...logTo(path), "--check-config"];
    await using agent = await startAgent({ mayWrite: folder, flags, until: "nothing" });
    assert.equal((await within("the agent to end", END_TIMEOUT_MS, agent.exited)).code, 0);
  }
  assert.deepEqual(await Array.fromAsync(Deno.readDir(folder)), []);
});

testWithFolder(
  "a port that is taken is told on stderr too, where the log goes to a file",
  async (folder) => {
    const port = freePort();
    using _listener = Deno.listen({ hostname: "127.0.0.1", port });
    const path = `${folder}/agent.log`;
    const options = { port, mayWrite: folder, flags: logTo(path), until: "nothing" as const };
    await using agent = await startAgent(options);
    assert.equal((await within("the agent to end", END_TIMEOUT_MS, agent.exited)).code, 1);
    assert.equal(agent.stderr.length, 1, agent.stderr.join("\n"));
    assert.match(agent.stderr[0] ?? "", /^haproxy-grpc-agent: Cannot listen on 127\.0\.0\.1:/);
    assert.equal((await entriesOf(path)).at(-1)?.level, "error");
  },
);
